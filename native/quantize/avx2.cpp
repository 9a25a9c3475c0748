// The encoders with AVX2, eight lanes. A pragma, and not the compiler's flags, allows it: the standard library's inline
// functions above must stay what every machine can run, since the linker keeps one copy of each.
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
