#include "cache.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace bitwright {
namespace {

// A position's elements become one lane of as many runs.
template <typename T>
void scatter(const T* x, int64_t n, int64_t lane, T* rows) {
  for (int64_t d = 0; d < n; ++d) rows[d * kKeyGroup + lane] = x[d];
}

// One block of a position: a lane of its rows of keys, or a row or two of values.
void store_key(const block_q8_0& b, int64_t dims, int64_t lane, uint8_t* rows) {
  scatter(reinterpret_cast<const uint8_t*>(b.qs), dims, lane, rows);
}
void store_value(const block_q8_0& b, int64_t dims, uint8_t* rows) {
  std::memcpy(rows, b.qs, static_cast<size_t>(padded(dims)));
}

constexpr uint8_t kSigned = 0x88;  // turns codes from 0 to 15 with their zero at 8 into signed ones, both of a byte
void store_key(const block_q4_0& b, int64_t, int64_t lane, uint8_t* rows) {
  for (int64_t i = 0; i < 16; ++i) rows[i * kKeyGroup + lane] = b.qs[i] ^ kSigned;
}
void store_value(const block_q4_0& b, int64_t, uint8_t* rows) {
  for (int64_t i = 0; i < 16; ++i) rows[i] = b.qs[i] ^ kSigned;
}

uint8_t* key_group(const Cache& c, int64_t head, int64_t place) {
  return c.keys + (head * c.positions + place) / kKeyGroup * key_rows(c.format, c.head_dim) * cache_row_bytes(c.format);
}
uint8_t* value_at(const Cache& c, int64_t head, int64_t place) {
  return c.values + (head * c.positions + place) * value_rows(c.format, c.head_dim) * cache_row_bytes(c.format);
}

template <typename Block>
void store_blocks(const Cache& c, int64_t head, int64_t place, const uint8_t* encoded_key,
                  const uint8_t* encoded_value) {
  const auto *key = reinterpret_cast<const Block*>(encoded_key), *value = reinterpret_cast<const Block*>(encoded_value);
  const int64_t blocks = cache_scales(c.format, c.head_dim), scales = head * blocks * c.positions + place;
  const int64_t per_key = key_rows(c.format, kScaleDims) * cache_row_bytes(c.format),
                per_value = value_rows(c.format, kScaleDims) * cache_row_bytes(c.format);
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t dims = std::min(kScaleDims, c.head_dim - b * kScaleDims);
    c.key_scales[scales + b * c.positions] = key[b].d;
    c.value_scales[scales + b * c.positions] = value[b].d;
    store_key(key[b], dims, place % kKeyGroup, key_group(c, head, place) + b * per_key);
    store_value(value[b], dims, value_at(c, head, place) + b * per_value);
  }
}

void store_halves(const Cache& c, int64_t head, int64_t place, const uint8_t* key, const uint8_t* value) {
  scatter(reinterpret_cast<const uint16_t*>(key), c.head_dim, place % kKeyGroup,
          reinterpret_cast<uint16_t*>(key_group(c, head, place)));
  std::memcpy(value_at(c, head, place), value, 2 * static_cast<size_t>(c.head_dim));
}

const char* name(FormatId format) {
  switch (format) {
    case FormatId::f16: return "f16";
    case FormatId::bf16: return "bf16";
    case FormatId::q8_0: return "q8_0";
    case FormatId::q4_0: return "q4_0";
    default:
      throw std::invalid_argument("a key-value cache is f16, bf16, q8_0 or q4_0, not of format id " +
                                  std::to_string(static_cast<int>(format)));
  }
}

}  // namespace

CacheWriter::CacheWriter(FormatId format)
    : name_(name(format)), encoders_(encoder_set(false)), encoder_(encoders_.find(format)) {}

Cache CacheWriter::layer(int64_t kv_heads, int64_t head_dim, int64_t window, int64_t context, int64_t batch) const {
  if (kv_heads < 1 || head_dim < 1 || head_dim > kMaxHeadDim)
    throw std::invalid_argument("a cache needs heads of 1 to " + std::to_string(kMaxHeadDim) + " values, got " +
                                std::to_string(head_dim));
  int64_t positions = padded(context);
  if (window > 0 && window < context) positions = std::min(positions, padded(window - 1 + batch, kKeyBlock));
  return {encoder_->format, kv_heads, head_dim, window, positions, nullptr, nullptr, nullptr, nullptr};
}

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
  const int64_t places = slots * c.kv_heads * c.positions,
                scales = places * cache_scales(c.format, c.head_dim) * static_cast<int64_t>(sizeof(half_t));
  const auto take = [&at](int64_t bytes) { return std::exchange(at, at + static_cast<uintptr_t>(padded(bytes, 64))); };
  c.keys =
      reinterpret_cast<uint8_t*>(take(places / kKeyGroup * key_rows(c.format, c.head_dim) * cache_row_bytes(c.format)));
  c.values = reinterpret_cast<uint8_t*>(take(places * value_rows(c.format, c.head_dim) * cache_row_bytes(c.format)));
  c.key_scales = reinterpret_cast<half_t*>(take(scales));
  c.value_scales = reinterpret_cast<half_t*>(take(scales));
  return at;
}

bool alike(const Cache& a, const Cache& b) {
  return a.format == b.format && a.kv_heads == b.kv_heads && a.head_dim == b.head_dim && a.window == b.window &&
         a.positions == b.positions;
}

void copy(const Cache& from, const Cache& to, int64_t slot, int64_t position) {
  const int64_t rows = key_rows(to.format, to.head_dim), row = cache_row_bytes(to.format), lane = row / kKeyGroup;
  const int64_t blocks = cache_scales(to.format, to.head_dim), place = position % to.positions;
  for (int64_t head = slot * to.kv_heads; head < (slot + 1) * to.kv_heads; ++head) {
    const int64_t at = place % kKeyGroup * lane, scales = head * blocks * to.positions + place;
    for (int64_t r = 0; r < rows; ++r)
      std::memcpy(key_group(to, head, place) + r * row + at, key_group(from, head, place) + r * row + at,
                  static_cast<size_t>(lane));
    std::memcpy(value_at(to, head, place), value_at(from, head, place),
                static_cast<size_t>(value_rows(to.format, to.head_dim) * row));
    for (int64_t b = 0; b < blocks; ++b) {
      to.key_scales[scales + b * to.positions] = from.key_scales[scales + b * to.positions];
      to.value_scales[scales + b * to.positions] = from.value_scales[scales + b * to.positions];
    }
  }
}

int64_t earliest(const Cache& c, int64_t reach) {
  const int64_t lost = reach - c.positions;  // positions that others lie over
  return lost > 0 ? lost + c.window - 1 : 0;
}

}  // namespace bitwright
