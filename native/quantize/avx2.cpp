// The encoders with AVX2, eight lanes. A pragma enables it instead of compiler flags: every machine must be able to run
// the inline functions of the standard headers above, since the linker keeps one copy of each.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "codebooks.h"
#include "encode.h"
#include "fp.h"
#include "pool.h"

#if defined(__x86_64__)
#pragma GCC diagnostic ignored "-Wpsabi"
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
namespace bitwright::encode_avx2 {
constexpr int kLanes = 8;
#include "encoders.inl"
}  // namespace bitwright::encode_avx2
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
