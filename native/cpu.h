// Optional instruction sets, as bits. Each translation unit knows which ones its compiler flags allow, and a tier runs
// only where the CPU has all of them. So the dispatcher cannot miss a flag that has a line here (a test compares these
// lines with CMakeLists.txt).
#pragma once
#include <cstdint>

namespace bitwright {

namespace feature {
constexpr uint32_t avx2 = 1 << 0, fma = 1 << 1, f16c = 1 << 2, avx512_f = 1 << 3, avx512_bw = 1 << 4,
                   avx512_dq = 1 << 5, avx512_vl = 1 << 6, avx512_vnni = 1 << 7, avx512_bf16 = 1 << 8,
                   avx_vnni = 1 << 9;
constexpr uint32_t dotprod = 1 << 0, fp16 = 1 << 1, i8mm = 1 << 2, bf16 = 1 << 3;
}  // namespace feature

namespace {

[[maybe_unused]] constexpr uint32_t compiled_features() {
  uint32_t found = 0;
#ifdef __AVX2__
  found |= feature::avx2;
#endif
#ifdef __FMA__
  found |= feature::fma;
#endif
#ifdef __F16C__
  found |= feature::f16c;
#endif
#ifdef __AVXVNNI__
  found |= feature::avx_vnni;
#endif
#ifdef __AVX512F__
  found |= feature::avx512_f;
#endif
#ifdef __AVX512BW__
  found |= feature::avx512_bw;
#endif
#ifdef __AVX512DQ__
  found |= feature::avx512_dq;
#endif
#ifdef __AVX512VL__
  found |= feature::avx512_vl;
#endif
#ifdef __AVX512VNNI__
  found |= feature::avx512_vnni;
#endif
#ifdef __AVX512BF16__
  found |= feature::avx512_bf16;
#endif
#ifdef __ARM_FEATURE_DOTPROD
  found |= feature::dotprod;
#endif
#ifdef __ARM_FEATURE_FP16_VECTOR_ARITHMETIC
  found |= feature::fp16;
#endif
#ifdef __ARM_FEATURE_MATMUL_INT8
  found |= feature::i8mm;
#endif
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
  found |= feature::bf16;
#endif
  return found;
}

}  // namespace
}  // namespace bitwright
