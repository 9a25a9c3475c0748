#include "cache.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace bitwright {
namespace {

// A position's elements become lane `lane` of as many runs.
template <typename T>
void scatter(const T* x, int64_t n, int64_t lane, T* runs) {
  for (int64_t d = 0; d < n; ++d) runs[d * kKeyGroup + lane] = x[d];
}

// Blocks of Q8_0 or Q4_0 of one position, taken apart: scales lie `positions` apart.
template <typename Block>
void store_scales(const Block* blocks, int64_t n, int64_t positions, half_t* scales) {
  for (int64_t b = 0; b < n; ++b) scales[b * positions] = blocks[b].d;
}

void store_key(const block_q8_0& block, int64_t dims, int64_t lane, uint8_t* runs) {
  scatter(reinterpret_cast<const uint8_t*>(block.qs), dims, lane, runs);
}
void store_key(const block_q4_0& block, int64_t dims, int64_t lane, uint8_t* runs) {   // a block's dim i and i + 16 share a byte
  const auto code = [&](int64_t d) { return block.qs[d % 16] >> d / 16 * 4 & 15; };
  for (int64_t d = 0; d < dims; d += 2) runs[d / 2 * kKeyGroup + lane] = static_cast<uint8_t>(code(d) | code(d + 1) << 4);
}

template <typename Block>
void store_blocks(const Cache& c, int64_t head, int64_t place, const uint8_t* encoded_key, const uint8_t* encoded_value) {
  const auto *key = reinterpret_cast<const Block*>(encoded_key), *value = reinterpret_cast<const Block*>(encoded_value);
  const int64_t blocks = cache_scales(c.format, c.head_dim), scales = head * blocks * c.positions + place;
  store_scales(key, blocks, c.positions, c.key_scales + scales);
  store_scales(value, blocks, c.positions, c.value_scales + scales);
  const int64_t group = (head * c.positions + place) / kKeyGroup * key_runs(c.format, c.head_dim);
  uint8_t* values = c.values + runs_bytes(c.format, (head * c.positions + place) * value_runs(c.format, c.head_dim));
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t dims = std::min(kScaleDims, c.head_dim - b * kScaleDims);
    store_key(key[b], dims, place % kKeyGroup, c.keys + runs_bytes(c.format, group + b * kScaleDims));
    const int64_t bytes = runs_bytes(c.format, std::min<int64_t>(2, value_runs(c.format, c.head_dim) - 2 * b));
    std::memcpy(values, value[b].qs, static_cast<size_t>(bytes));
    values += bytes;
  }
}

void store_halves(const Cache& c, int64_t head, int64_t place, const uint8_t* key, const uint8_t* value) {
  uint8_t* runs = c.keys + runs_bytes(c.format, (head * c.positions + place) / kKeyGroup * c.head_dim);
  scatter(reinterpret_cast<const uint16_t*>(key), c.head_dim, place % kKeyGroup, reinterpret_cast<uint16_t*>(runs));
  std::memcpy(c.values + runs_bytes(c.format, (head * c.positions + place) * value_runs(c.format, c.head_dim)), value, 2 * static_cast<size_t>(c.head_dim));
}

const char* name(FormatId format) {
  switch (format) {
    case FormatId::f16: return "f16";
    case FormatId::bf16: return "bf16";
    case FormatId::q8_0: return "q8_0";
    case FormatId::q4_0: return "q4_0";
    default: throw std::invalid_argument("a key-value cache is f16, bf16, q8_0 or q4_0, not of format id " + std::to_string(static_cast<int>(format)));
  }
}

}  // namespace

CacheWriter::CacheWriter(FormatId format) : name_(name(format)), encoders_(encoder_set(false)), encoder_(encoders_.find(format)) {}

Cache CacheWriter::layer(int64_t kv_heads, int64_t head_dim, int64_t window, int64_t context, int64_t batch) const {
  if (kv_heads < 1 || head_dim < 1 || head_dim > kMaxHeadDim)
    throw std::invalid_argument("a cache needs heads of 1 to " + std::to_string(kMaxHeadDim) + " values, got " + std::to_string(head_dim));
  int64_t positions = padded(context);
  if (window > 0 && window < context) positions = std::min(positions, padded(window - 1 + batch, kKeyBlock));
  return {encoder_->format, kv_heads, head_dim, window, positions, nullptr, nullptr, nullptr, nullptr};
}

void CacheWriter::encode(const float* x, int64_t n, uint8_t* blocks) const {
  const int64_t whole = padded(n, encoder_->block_size);
  float values[kMaxHeadDim];
  std::copy_n(x, n, values);
  std::fill(values + n, values + whole, 0.f);
  if (encoders_.first_not_finite(values, n) >= 0 || encoder_->encode(values, nullptr, whole / encoder_->block_size, blocks) >= 0)
    throw std::runtime_error("the " + name_ + " cache cannot hold a key or value the model computed: the weights are damaged, or need bf16");
}

void CacheWriter::store(const Cache& c, int64_t slot, int64_t position, const float* keys, const float* values) const {
  alignas(64) uint8_t key[kMaxHeadDim * 2], value[kMaxHeadDim * 2];
  for (int64_t h = 0; h < c.kv_heads; ++h, keys += c.head_dim, values += c.head_dim) {
    encode(keys, c.head_dim, key);
    encode(values, c.head_dim, value);
    const int64_t head = slot * c.kv_heads + h, place = position % c.positions;
    switch (c.format) {
      case FormatId::q8_0: store_blocks<block_q8_0>(c, head, place, key, value); break;
      case FormatId::q4_0: store_blocks<block_q4_0>(c, head, place, key, value); break;
      default: store_halves(c, head, place, key, value);
    }
  }
}

uintptr_t place(Cache& c, int64_t slots, uintptr_t at) {
  const int64_t heads = slots * c.kv_heads, scales = heads * c.positions * cache_scales(c.format, c.head_dim) * static_cast<int64_t>(sizeof(half_t));
  const auto take = [&at](int64_t bytes) { return std::exchange(at, at + static_cast<uintptr_t>(padded(bytes, 64))); };
  c.keys = reinterpret_cast<uint8_t*>(take(runs_bytes(c.format, heads * c.positions / kKeyGroup * key_runs(c.format, c.head_dim))));
  c.values = reinterpret_cast<uint8_t*>(take(runs_bytes(c.format, heads * c.positions * value_runs(c.format, c.head_dim))));
  c.key_scales = reinterpret_cast<half_t*>(take(scales));
  c.value_scales = reinterpret_cast<half_t*>(take(scales));
  return at;
}

int64_t earliest(const Cache& c, int64_t reach) {
  const int64_t lost = reach - c.positions;   // positions that others lie over
  return lost > 0 ? lost + c.window - 1 : 0;
}

}  // namespace bitwright
