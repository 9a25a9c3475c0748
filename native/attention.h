// The memory layout of a layer's keys and values, and the arguments of an attention kernel. Plain data: the tiers include this.
//
// A page holds kKeyBlock positions of every layer in a group (the layers with the same window). A sequence's table maps its
// positions 64 i to 64 i + 63 to a page. The part of a page that belongs to one layer:
//
// Elements lie in runs of 16, so that every tier loads whole vectors, and runs in rows:
//   keys    (kv_head, position / 16, dim) runs of 16 positions: q·k handles 16 positions at a time
//   values  (kv_head, position, dim / 16) runs of 16 dims; the last is padded with zeros
// A row is one run: 32 bytes of F16 or BF16, or 16 codes of Q8_0. A row of Q4_0 codes is two runs in 16 bytes, as in a file: dim d
// of 32 is in the low nibbles and d + 16 in the high ones, each code as a signed integer. So 32 dims take 16 rows of keys
// and one of values. These 32 dims of a position share a float16 scale; scales are stored separately:
//   scales  (kv_head, dim / 32, position), one such array for keys and one for values; none for F16 and BF16
// In a latent layer a value is the beginning of its key, and is not stored.
#pragma once
#include <cstdint>

#include "blocks.h"

namespace bitwright {

constexpr int64_t kKeyGroup = 16;
constexpr int64_t kKeyBlock = 64;   // positions in a page, scored between two updates of the running softmax
constexpr int64_t kScaleDims = 32;  // dims that share a scale
constexpr int64_t kMaxHeadDim = 1024;
constexpr int64_t kTileRows =
    96;  // query rows (tokens × heads that share a key) that share one conversion of a key block

static constexpr int64_t divided_up(int64_t n, int64_t by) { return (n + by - 1) / by; }
static constexpr int64_t padded(int64_t n, int64_t to = kKeyGroup) { return divided_up(n, to) * to; }

static constexpr bool has_scales(FormatId f) { return f == FormatId::q8_0 || f == FormatId::q4_0; }
static constexpr int64_t cache_scales(FormatId f, int64_t head_dim) {
  return has_scales(f) ? divided_up(head_dim, kScaleDims) : 0;
}
static constexpr int64_t cache_row_bytes(FormatId f) { return has_scales(f) ? 16 : 32; }
static constexpr int64_t key_rows(FormatId f, int64_t head_dim) {  // of 16 positions
  return f == FormatId::q4_0 ? divided_up(head_dim, kScaleDims) * 16 : head_dim;
}
static constexpr int64_t value_rows(FormatId f, int64_t head_dim) {  // of one position
  return divided_up(head_dim, f == FormatId::q4_0 ? kScaleDims : 16);
}

// One layer's keys and values, for every sequence.
struct Cache {
  FormatId format;
  int64_t kv_heads, head_dim;
  int64_t latent;     // dims of a key that are its value; 0: values are stored, and as wide as keys
  int64_t window;     // positions that a token sees, including its own; 0: all
  int64_t positions;  // most positions of a sequence: the context, or a window and a batch
  uint8_t* pages;     // page n begins at pages + n * page_bytes
  int64_t page_bytes;
  int64_t keys, values, key_scales, value_scales;  // byte offsets of this layer's parts in a page
  const int32_t* const* tables;                    // for each sequence: the page of its positions 64 i to 64 i + 63
};

static constexpr int64_t value_dim(const Cache& c) { return c.latent ? c.latent : c.head_dim; }

static inline uint8_t* page_at(const Cache& c, int64_t slot, int64_t position) {
  return c.pages + c.tables[slot][position / kKeyBlock] * c.page_bytes;
}

// Consecutive tokens of one sequence: rows [token, token + count) of the batch, at positions position, position + 1, ...
struct AttentionTile { int64_t token, count, slot, position; };

// The positions that a tile sees are processed in ranges. Each range yields a separate running softmax, and these are merged in
// order, so the result does not depend on `split`. With `split` 1 an item is a tile and a kv_head. Otherwise it is also one of
// `split` ranges: each stores its softmax in `partials`, and the last to finish, by the count in `finished`, merges them.
struct AttentionArgs {
  const float* q;  // (tokens, heads * head_dim)
  float* y;        // (tokens, heads * value_dim)
  Cache cache;
  const AttentionTile* tiles;
  int64_t heads;
  float scale;         // applied to q·k
  float softcap;       // 0: none
  const float* sinks;  // (heads,), one more score for each head, without a value; nullptr: none
  int64_t split;       // 1, or the most ranges that any tile has: a tile with fewer has empty items
  float* partials;     // one softmax per item
  int32_t* finished;   // (tiles, kv_heads) zeros, and zeros again afterwards
};

// Positions in a range, and the ranges from a tile's oldest position to its last.
constexpr int64_t kMostRanges = 32;  // of a full cache
static constexpr int64_t range_positions(const Cache& c) {
  const int64_t share = padded(divided_up(c.positions, kMostRanges), kKeyBlock);
  return share < 4 * kKeyBlock ? 4 * kKeyBlock : share;
}
static constexpr int64_t oldest_position(const Cache& c, const AttentionTile& t) {
  return c.window && t.position >= c.window ? t.position - c.window + 1 : 0;
}
static constexpr int64_t ranges(const Cache& c, const AttentionTile& t) {
  return (t.position + t.count - 1) / range_positions(c) - oldest_position(c, t) / range_positions(c) + 1;
}

// Floats in the running softmax of `rows` rows: sums, maxima, totals.
static constexpr int64_t softmax_floats(int64_t rows, int64_t head_dim) { return rows * (padded(head_dim) + 2); }

// Floats of scratch that a tile of `rows` rows needs.
static constexpr int64_t attention_scratch(int64_t rows, int64_t head_dim) {
  return 2 * softmax_floats(rows, head_dim) + rows * (head_dim + kKeyBlock + 1) +
         kKeyBlock * (head_dim + padded(head_dim));
}

}  // namespace bitwright
