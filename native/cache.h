// The executor's side of a cache: how much memory it takes, and how a position is written. attention.h tells the layout.
#pragma once
#include <cstdint>
#include <string>

#include "attention.h"
#include "quantize/encode.h"

namespace bitwright {

class CacheWriter {
 public:
  explicit CacheWriter(FormatId format);  // f16, bf16, q8_0 or q4_0; throws std::invalid_argument for any other
  // An empty cache of one layer; its ring is as long as `window` (0: everything), batch and context make necessary.
  Cache layer(int64_t kv_heads, int64_t head_dim, int64_t window, int64_t context, int64_t batch) const;
  // Keys and values (kv_heads, head_dim) of one position, rounded as formats/ defines it; threads may write neighbouring positions
  // at once. Throws std::runtime_error where the format cannot hold a value.
  void store(const Cache& cache, int64_t slot, int64_t position, const float* keys, const float* values) const;

 private:
  void encode(const float* x, int64_t n, uint8_t* blocks) const;
  std::string name_;
  const EncoderSet& encoders_;
  const Encoder* encoder_;
};

// Gives a cache its memory from `at` on and returns the end of it, a multiple of 64 bytes further; at 0 that is its size.
uintptr_t place(Cache& cache, int64_t slots, uintptr_t at);

// Whether two caches hold the same: format, heads and places.
bool alike(const Cache& a, const Cache& b);

// Keys and values of one position of a sequence, from a cache that is alike.
void copy(const Cache& from, const Cache& to, int64_t slot, int64_t position);

// The lowest position but 0 that a sequence can go on from when positions up to `reach` have been written: all that it would see
// must still be there.
int64_t earliest(const Cache& cache, int64_t reach);

}  // namespace bitwright
