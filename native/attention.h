// What one call of an attention kernel needs. Plain data: the tiers include this.
//
// A layer's cache holds float16 for `slots` sequences of up to `context` positions (rounded up to kKeyGroup):
//   keys    (slot, kv_head, position / 16, head_dim, position % 16)   so that q·k runs over 16 positions at a time
//   values  (slot, kv_head, position, value_stride)                   rows padded with zeros to a multiple of 16
#pragma once
#include <cstdint>

#include "blocks.h"

namespace bitwright {

constexpr int64_t kKeyGroup = 16;
constexpr int64_t kKeyBlock = 64;     // positions scored between two updates of the running softmax
constexpr int64_t kMaxHeadDim = 1024;
constexpr int64_t kTileRows = 96;     // query rows (tokens × heads that share a key) that share one conversion of a key block

// Consecutive tokens of one sequence: rows [token, token + count) of the batch, at positions position, position + 1, ...
struct AttentionTile {
  int64_t token, count, slot, position;
};

struct AttentionArgs {
  const float* q;         // (tokens, heads * head_dim)
  float* y;               // like q
  half_t* keys;
  half_t* values;
  const AttentionTile* tiles;
  int64_t heads, kv_heads, head_dim, context;
  float scale;            // of q·k
  float softcap;          // 0: none
  int64_t window;         // positions seen, own included; 0: all
};

static constexpr int64_t padded(int64_t n) { return (n + kKeyGroup - 1) / kKeyGroup * kKeyGroup; }

// Floats of scratch that a tile of so many rows needs.
static constexpr int64_t attention_scratch(int64_t rows, int64_t head_dim) {
  return rows * (head_dim + padded(head_dim) + kKeyBlock + 3) + kKeyBlock * (head_dim + padded(head_dim));
}

}  // namespace bitwright
