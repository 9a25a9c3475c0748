// The encoders with AVX2. Not with FMA: a fused product would round once and change the bytes.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "codebooks.h"
#include "encode.h"
#include "pool.h"

#if defined(__x86_64__)
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC push_options
#pragma GCC target("avx2")
namespace bitwright::encode_avx2 {
constexpr int kLanes = 8;
#include "encoders.inl"
}  // namespace bitwright::encode_avx2
#pragma GCC pop_options
#endif
