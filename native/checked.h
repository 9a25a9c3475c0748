// Sizes given by a caller: bounded before any arithmetic, and multiplied without overflow.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>

namespace bitwright {

constexpr int64_t kMostBatch = 1 << 20, kMostContext = (int64_t{1} << 31) - 1, kMostSequences = 1 << 16;
constexpr int64_t kMostExperts = 1024, kMostWidth = int64_t{1} << 31,
                  kMostBytes = int64_t{1} << 47;  // the address space of a process

inline void check_size(const char* what, int64_t got, int64_t least, int64_t most) {
  if (got < least || got > most)
    throw std::invalid_argument(std::string(what) + ": expected " + std::to_string(least) + " to " +
                                std::to_string(most) + ", got " + std::to_string(got));
}

inline int64_t product(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_mul_overflow(a, b, &result) || result > kMostBytes)
    throw std::invalid_argument(std::to_string(a) + " times " + std::to_string(b) +
                                " is more than the address space of a process (2^47 bytes): choose a smaller context, "
                                "batch or number of sequences");
  return result;
}

}  // namespace bitwright
