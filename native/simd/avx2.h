// AVX2, FMA and F16C, without and with AVX-VNNI (tiers/avx_vnni.cpp defines BITWRIGHT_AVX_VNNI). scalar.h explains the
// names.
#pragma once
#include <immintrin.h>

#include "../fp.h"

namespace bitwright {
namespace {

constexpr int kLanes = 8;
#include "vectors.inl"

BITWRIGHT_INLINE __m128i eight_bytes(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
BITWRIGHT_INLINE __m128i eight_words(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

BITWRIGHT_INLINE Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
BITWRIGHT_INLINE Ints widen(const int8_t* from) { return (Ints)_mm256_cvtepi8_epi32(eight_bytes(from)); }
BITWRIGHT_INLINE Ints widen(const uint8_t* from) { return (Ints)_mm256_cvtepu8_epi32(eight_bytes(from)); }
BITWRIGHT_INLINE Ints widen(const uint16_t* from) { return (Ints)_mm256_cvtepu16_epi32(eight_words(from)); }
BITWRIGHT_INLINE void narrow(int8_t* to, Ints v) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi16(words, words));
}
BITWRIGHT_INLINE Floats load_half(const void* from) { return _mm256_cvtph_ps(eight_words(from)); }
BITWRIGHT_INLINE Floats load_ue4m3(const uint8_t* from) {
  return _mm256_cvtph_ps(_mm_slli_epi16(_mm_cvtepu8_epi16(eight_bytes(from)), 7));
}

#ifdef BITWRIGHT_AVX_VNNI
BITWRIGHT_INLINE __m256i dpbusd(__m256i sum, __m256i u, __m256i s) {
#ifdef BITWRIGHT_EMULATE_VNNI  // the kernel test runs this file's arithmetic on machines without AVX-VNNI
  const __m256i low =
      _mm256_madd_epi16(_mm256_and_si256(u, _mm256_set1_epi16(255)), _mm256_srai_epi16(_mm256_slli_epi16(s, 8), 8));
  const __m256i high = _mm256_madd_epi16(_mm256_srli_epi16(u, 8), _mm256_srai_epi16(s, 8));
  return _mm256_add_epi32(sum, _mm256_add_epi32(low, high));
#else
  return _mm256_dpbusd_avx_epi32(sum, u, s);
#endif
}
#endif

struct Ops {
  static constexpr int kRegisters = 16, kVector = 32, kRowVectors = 2, kFloatTokens = 6;
  static constexpr int kPieceGroups = 32, kTokenBlock = 64, kAhead = 4096, kAheadLevel = 3, kAheadStep = 64;
  static constexpr bool kMatrix = false, kBf16Dot = false;

  static Bytes table(const uint8_t* sixteen) { return (Bytes)_mm256_broadcastsi128_si256(eight_words(sixteen)); }
  static Bytes look_up(Bytes table, Bytes index) { return (Bytes)_mm256_shuffle_epi8((__m256i)table, (__m256i)index); }

#ifdef BITWRIGHT_AVX_VNNI
  // dpbusd multiplies unsigned by signed bytes into 32 bits, so codes that span int8 are stored plus 128.
  static constexpr int kTokens = 3, kFullOffset = 128;
  static constexpr bool kDirect = true;

  static constexpr int run(int, bool) { return 8; }
  template <bool> static Ints step(Ints partial, Bytes weights, const int8_t* x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    __m256i sum = dpbusd((__m256i)partial, (__m256i)weights, _mm256_set1_epi32(four));
    asm("" : "+x"(sum));  // GCC would load all operands first, and spill them
    return (Ints)sum;
  }
  static Ints flush(Ints, Ints partial) { return partial; }
#else
  // maddubs multiplies unsigned by signed bytes and sums pairs with saturation in 16 bits. So products may be summed in
  // 16-bit lanes only while they cannot overflow, and codes that span int8 are multiplied as |w| times x with w's sign.
  static constexpr int kTokens = 4, kFullOffset = 0;
  static constexpr bool kDirect = false;

  // Each 16-bit lane of a product is at most highest * 127 * 2.
  static constexpr int run(int highest, bool full) {
    const int n = full ? 1 : 32767 / (highest * 254);
    return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
  }
  template <bool kFull> static Ints step(Ints partial, Bytes weights, const int8_t* x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    const __m256i w = (__m256i)weights, b = _mm256_set1_epi32(four);
    const __m256i pairs =
        kFull ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(b, w)) : _mm256_maddubs_epi16(w, b);
    __m256i sum = _mm256_add_epi16((__m256i)partial, pairs);
    asm("" : "+x"(sum));  // keeps the sums in place: GCC would compute all products first, and spill them
    return (Ints)sum;
  }
  static Ints flush(Ints sum, Ints partial) {
    Ints wide = sum + (Ints)_mm256_madd_epi16((__m256i)partial, _mm256_set1_epi16(1));
    asm("" : "+x"(wide));  // as in step
    return wide;
  }
#endif
};

#include "derived.inl"

}  // namespace
}  // namespace bitwright
