// AVX-512 on an AVX2 machine through SIMDe (Debian: libsimde-dev), for the kernel test, with the few conversions that
// SIMDe 0.7 lacks, done lane by lane.
#pragma once
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cmath>

#include "../fp.h"

namespace {

template <class To, class From, class Fn> inline To by_lane(__mmask16 mask, From from, Fn&& convert) {
  alignas(64) auto lanes = convert(from, 0);
  alignas(64) decltype(lanes) out[16];
  for (int i = 0; i < 16; ++i) out[i] = mask >> i & 1 ? convert(from, i) : decltype(lanes)(0);
  To to;
  __builtin_memcpy(&to, out, sizeof to);
  return to;
}

template <class T, class V> inline T lane(const V& v, int i) {
  T value;
  __builtin_memcpy(&value, reinterpret_cast<const char*>(&v) + size_t(i) * sizeof(T), sizeof(T));
  return value;
}

inline __m512i emulated_cvtepi8_epi32(__mmask16 m, __m128i a) {
  return by_lane<__m512i>(m, a, [](auto& v, int i) { return int32_t(lane<int8_t>(v, i)); });
}
inline __m512i emulated_cvtepu8_epi32(__mmask16 m, __m128i a) {
  return by_lane<__m512i>(m, a, [](auto& v, int i) { return int32_t(lane<uint8_t>(v, i)); });
}
inline __m512i emulated_cvtepu16_epi32(__mmask16 m, __m256i a) {
  return by_lane<__m512i>(m, a, [](auto& v, int i) { return int32_t(lane<uint16_t>(v, i)); });
}
inline __m128i emulated_cvtepi32_epi8(__mmask16 m, __m512i a) {
  return by_lane<__m128i>(m, a, [](auto& v, int i) { return int8_t(lane<int32_t>(v, i)); });
}
inline __m512 emulated_cvtph_ps(__mmask16 m, __m256i a) {
  return by_lane<__m512>(m, a, [](auto& v, int i) { return bitwright::half_to_float(lane<uint16_t>(v, i)); });
}

// As Intel's manual defines VDPBF16PS (SDM, volume 2): the odd columns' product is added first, each product by a fused
// multiply-add that rounds to nearest even; denormals are read and written as zeros.
template <class Floats, class A, class B> inline Floats emulated_dpbf16_ps(Floats sums, A a, B b) {
  const auto flushed = [](float v) { return std::fabs(v) < 0x1p-126f ? std::copysign(0.0f, v) : v; };
  const auto value = [&](const auto& v, int i) { return flushed(bitwright::bf16_to_float(lane<uint16_t>(v, i))); };
  for (int i = 0; i < 16; ++i) {
    float sum = flushed(sums[i]);
    for (int j = 2 * i + 1; j >= 2 * i; --j) sum = flushed(std::fma(value(a, j), value(b, j), sum));
    sums[i] = sum;
  }
  return sums;
}

}  // namespace

#define _mm512_maskz_cvtepi8_epi32 emulated_cvtepi8_epi32
#define _mm512_maskz_cvtepu8_epi32 emulated_cvtepu8_epi32
#define _mm512_maskz_cvtepu16_epi32 emulated_cvtepu16_epi32
#define _mm512_maskz_cvtepi32_epi8 emulated_cvtepi32_epi8
#define _mm512_maskz_cvtph_ps emulated_cvtph_ps
