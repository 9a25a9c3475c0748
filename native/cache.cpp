#include "cache.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "tier.h"

namespace bitwright {
namespace {

// Each element of a position goes to the same lane of another run.
template <typename T>
void scatter(const T* x, int64_t n, int64_t lane, T* rows) {
  for (int64_t d = 0; d < n; ++d) rows[d * kKeyGroup + lane] = x[d];
}

// Stores one block of a position: one lane of several rows of keys, or one or two rows of values.
void store_key(const block_q8_0& b, int64_t dims, int64_t lane, uint8_t* rows) {
  scatter(reinterpret_cast<const uint8_t*>(b.qs), dims, lane, rows);
}
void store_value(const block_q8_0& b, int64_t dims, uint8_t* rows) {
  std::memcpy(rows, b.qs, static_cast<size_t>(padded(dims)));
}

constexpr uint8_t kSigned = 0x88;  // turns both codes of a byte, 0 to 15 with zero-point 8, into signed codes
void store_key(const block_q4_0& b, int64_t, int64_t lane, uint8_t* rows) {
  for (int64_t i = 0; i < 16; ++i) rows[i * kKeyGroup + lane] = b.qs[i] ^ kSigned;
}
void store_value(const block_q4_0& b, int64_t, uint8_t* rows) {
  for (int64_t i = 0; i < 16; ++i) rows[i] = b.qs[i] ^ kSigned;
}

// Where a position of one head lies in a page: its group of keys, its value, its first scale in an array of them.
struct Place {
  Place(const Cache& c, int64_t slot, int64_t position, int64_t head)
      : page(page_at(c, slot, position)), in_page(position % kKeyBlock), lane(position % kKeyGroup) {
    const int64_t row = cache_row_bytes(c.format), first = head * kKeyBlock + in_page;
    key = page + c.keys + first / kKeyGroup * key_rows(c.format, c.head_dim) * row;
    value = page + c.values + first * value_rows(c.format, c.head_dim) * row;
    const int64_t scales = head * cache_scales(c.format, c.head_dim) * kKeyBlock + in_page;
    key_scales = reinterpret_cast<half_t*>(page + c.key_scales) + scales;
    value_scales = reinterpret_cast<half_t*>(page + c.value_scales) + scales;
  }
  uint8_t* page;
  int64_t in_page, lane;
  uint8_t *key, *value;
  half_t *key_scales, *value_scales;  // of the first 32 dims; those of the next 32 lie kKeyBlock further
};

template <typename Block>
void store_blocks(const Cache& c, const Place& to, const uint8_t* encoded_key, const uint8_t* encoded_value) {
  const auto *key = reinterpret_cast<const Block*>(encoded_key), *value = reinterpret_cast<const Block*>(encoded_value);
  const int64_t per_key = key_rows(c.format, kScaleDims) * cache_row_bytes(c.format),
                per_value = value_rows(c.format, kScaleDims) * cache_row_bytes(c.format);
  for (int64_t b = 0; b < cache_scales(c.format, c.head_dim); ++b) {
    const int64_t dims = std::min(kScaleDims, c.head_dim - b * kScaleDims);
    to.key_scales[b * kKeyBlock] = key[b].d;
    store_key(key[b], dims, to.lane, to.key + b * per_key);
    if (c.latent) continue;
    to.value_scales[b * kKeyBlock] = value[b].d;
    store_value(value[b], dims, to.value + b * per_value);
  }
}

void store_halves(const Cache& c, const Place& to, const uint8_t* key, const uint8_t* value) {
  scatter(reinterpret_cast<const uint16_t*>(key), c.head_dim, to.lane, reinterpret_cast<uint16_t*>(to.key));
  if (!c.latent) std::memcpy(to.value, value, 2 * static_cast<size_t>(c.head_dim));
}

}  // namespace

const char* cache_format_name(FormatId format) {
  switch (format) {
    case FormatId::f16: return "f16";
    case FormatId::bf16: return "bf16";
    case FormatId::q8_0: return "q8_0";
    case FormatId::q4_0: return "q4_0";
    default:
      throw std::invalid_argument("expected a key-value cache in f16, bf16, q8_0 or q4_0, got format id " +
                                  std::to_string(static_cast<int>(format)));
  }
}

CacheWriter::CacheWriter(FormatId format, const EncoderSet& encoders)
    : name_(cache_format_name(format)), encoders_(encoders), encoder_(encoders_.find(format)) {}

void CacheWriter::encode(const float* x, int64_t n, uint8_t* blocks) const {
  const int64_t whole = padded(n, encoder_->block_size);
  float values[kMaxHeadDim];
  std::copy_n(x, n, values);
  std::fill(values + n, values + whole, 0.f);
  if (encoders_.first_not_finite(values, n) >= 0 ||
      encoder_->rtn(values, nullptr, whole / encoder_->block_size, blocks) >= 0)
    throw std::runtime_error(
        "the " + name_ + " cache cannot hold a key or value the model computed: the weights are damaged, or need bf16");
}

void CacheWriter::store(const Cache& c, int64_t slot, int64_t position, const float* keys, const float* values) const {
  alignas(64) uint8_t key[kMaxHeadDim * 2], value[kMaxHeadDim * 2];
  for (int64_t h = 0; h < c.kv_heads; ++h) {
    encode(keys + h * c.head_dim, c.head_dim, key);
    if (!c.latent) encode(values + h * c.head_dim, c.head_dim, value);
    const Place to(c, slot, position, h);
    switch (c.format) {
      case FormatId::q8_0: store_blocks<block_q8_0>(c, to, key, value); break;
      case FormatId::q4_0: store_blocks<block_q4_0>(c, to, key, value); break;
      default: store_halves(c, to, key, value);
    }
  }
}

int64_t place(Cache& c, int64_t at) {
  const int64_t positions = c.kv_heads * kKeyBlock, row = cache_row_bytes(c.format),
                scales = positions * cache_scales(c.format, c.head_dim) * static_cast<int64_t>(sizeof(half_t));
  const auto take = [&at](int64_t bytes) { return std::exchange(at, at + padded(bytes, 64)); };
  c.keys = take(positions / kKeyGroup * key_rows(c.format, c.head_dim) * row);
  c.values = take(c.latent ? 0 : positions * value_rows(c.format, c.head_dim) * row);
  c.key_scales = take(scales);
  c.value_scales = take(c.latent ? 0 : scales);
  return at;
}

void copy(const Cache& from, int64_t from_slot, const Cache& to, int64_t to_slot, int64_t position) {
  const int64_t rows = key_rows(to.format, to.head_dim), row = cache_row_bytes(to.format), lane = row / kKeyGroup;
  for (int64_t head = 0; head < to.kv_heads; ++head) {
    const Place source(from, from_slot, position, head), target(to, to_slot, position, head);
    const int64_t at = source.lane * lane;
    for (int64_t r = 0; r < rows; ++r)
      std::memcpy(target.key + r * row + at, source.key + r * row + at, static_cast<size_t>(lane));
    const int64_t blocks = cache_scales(to.format, to.head_dim);
    for (int64_t b = 0; b < blocks; ++b) target.key_scales[b * kKeyBlock] = source.key_scales[b * kKeyBlock];
    if (to.latent) continue;
    std::memcpy(target.value, source.value, static_cast<size_t>(value_rows(to.format, to.head_dim) * row));
    for (int64_t b = 0; b < blocks; ++b) target.value_scales[b * kKeyBlock] = source.value_scales[b * kKeyBlock];
  }
}

}  // namespace bitwright
