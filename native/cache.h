// How one layer's keys and values are written to its pages and copied between them; attention.h describes the layout.
#pragma once
#include <cstdint>
#include <string>

#include "attention.h"
#include "quantize/encode.h"

namespace bitwright {

// The name of a format that keys and values may have: f16, bf16, q8_0 or q4_0. Throws std::invalid_argument for any other.
const char* cache_format_name(FormatId format);

class CacheWriter {
 public:
  CacheWriter(FormatId format, const EncoderSet& encoders);  // throws like cache_format_name
  // Stores keys and values (kv_heads, head_dim) of one position, rounded as formats/ defines; in a latent layer keys alone.
  // Threads may write neighbouring positions at the same time. Throws std::runtime_error if the format cannot hold a value.
  void store(const Cache& cache, int64_t slot, int64_t position, const float* keys, const float* values) const;

 private:
  void encode(const float* x, int64_t n, uint8_t* blocks) const;
  std::string name_;
  const EncoderSet& encoders_;
  const Encoder* encoder_;
};

// Assigns a layer its part of a page, from byte `at` on. Returns where the part ends, a multiple of 64 bytes.
int64_t place(Cache& cache, int64_t at);

// Copies the keys and values of one position from the same layer in another memory.
void copy(const Cache& from, int64_t from_slot, const Cache& to, int64_t to_slot, int64_t position);

}  // namespace bitwright
