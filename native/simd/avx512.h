// AVX-512 with VNNI. dpbusd multiplies unsigned by signed bytes into 32 bits. The operand that it can broadcast from
// memory is the signed one, so weights are unsigned: codes that span int8 are stored plus 128. scalar.h explains the
// names.
#pragma once
#ifdef BITWRIGHT_EMULATE_VNNI
#include "../tests/emulate_avx512.h"  // the kernel test runs this file's arithmetic on machines without AVX-512
#else
#include <immintrin.h>
#endif

#include "../fp.h"

namespace bitwright {
namespace {

constexpr int kLanes = 16;
#include "vectors.inl"

constexpr __mmask16 kAll = 0xffff;  // unmasked conversions read an undefined vector, and GCC 12 warns about it
BITWRIGHT_INLINE __m128i sixteen_bytes(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
BITWRIGHT_INLINE __m256i sixteen_words(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

BITWRIGHT_INLINE Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
BITWRIGHT_INLINE Ints widen(const int8_t* from) { return (Ints)_mm512_maskz_cvtepi8_epi32(kAll, sixteen_bytes(from)); }
BITWRIGHT_INLINE Ints widen(const uint8_t* from) { return (Ints)_mm512_maskz_cvtepu8_epi32(kAll, sixteen_bytes(from)); }
BITWRIGHT_INLINE Ints widen(const uint16_t* from) {
  return (Ints)_mm512_maskz_cvtepu16_epi32(kAll, sixteen_words(from));
}
BITWRIGHT_INLINE void narrow(int8_t* to, Ints v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtepi32_epi8(kAll, (__m512i)v));
}
BITWRIGHT_INLINE Floats load_half(const void* from) { return _mm512_maskz_cvtph_ps(kAll, sixteen_words(from)); }
BITWRIGHT_INLINE Floats load_ue4m3(const uint8_t* from) {
  return _mm512_maskz_cvtph_ps(kAll, _mm256_slli_epi16(_mm256_cvtepu8_epi16(sixteen_bytes(from)), 7));
}

struct Ops {
  static constexpr int kRegisters = 32, kVector = 64, kRowVectors = 2, kTokens = 6, kFloatTokens = 9, kFullOffset = 128;
  static constexpr bool kDirect = true, kMatrix = false;
  static constexpr int kPieceGroups = 16, kTokenBlock = 256, kAhead = 4096, kAheadLevel = 2, kAheadStep = 512;

  static Bytes table(const uint8_t* sixteen) {
    return (Bytes)_mm512_maskz_broadcast_i32x4(kAll, sixteen_bytes(sixteen));
  }
  static Bytes look_up(Bytes table, Bytes index) { return (Bytes)_mm512_shuffle_epi8((__m512i)table, (__m512i)index); }

  static constexpr int run(int, bool) { return 8; }
  template <bool> static Ints step(Ints partial, Bytes weights, const int8_t* x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    __m512i sum = _mm512_dpbusd_epi32((__m512i)partial, (__m512i)weights, _mm512_set1_epi32(four));
#ifndef BITWRIGHT_EMULATE_VNNI
    asm("" : "+v"(sum));  // GCC would load all operands first, and spill them
#endif
    return (Ints)sum;
  }
  static Ints flush(Ints, Ints partial) { return partial; }

#ifdef BITWRIGHT_EMULATE_VNNI
  static constexpr bool kBf16Dot = false;
#else
  // Used only by the meter, on CPUs with feature::avx512_bf16. The tier is compiled without that feature, so the
  // instruction is written as assembly.
  static constexpr bool kBf16Dot = true;
  static Floats bf16_dot(Floats sum, Bytes weights, const int8_t* x) {
    int32_t two;
    __builtin_memcpy(&two, x, 4);
    const Ints pair = splat_int(two);
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(pair));
    return sum;
  }
#endif
};

#include "derived.inl"

}  // namespace
}  // namespace bitwright
