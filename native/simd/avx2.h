// AVX2, FMA and F16C. The integer product is maddubs: unsigned by signed bytes, pairs summed with saturation in 16 bits, so a
// run of products may share 16-bit lanes only while it cannot overflow; codes that span int8 go in as |w| times x with w's sign.
// See scalar.h for what the names mean.
#pragma once
#include <immintrin.h>

#include "../fp.h"

namespace bitwright {
namespace {

struct Ops {
  static constexpr int kLanes = 8, kVector = 32, kRowVectors = 2, kTokens = 4, kFullOffset = 0;
  static constexpr bool kDirect = false, kMatrix = false;
  struct Bytes { __m256i v; };
  struct Ints { __m256i v; };
  struct Partial { __m256i v; };
  struct Floats { __m256 v; };

  static Bytes load(const uint8_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
  static void store(uint8_t* p, Bytes a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v); }
  static Bytes splat(uint8_t b) { return {_mm256_set1_epi8(char(b))}; }
  static Bytes table(const uint8_t* sixteen) {
    return {_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(sixteen)))};
  }
  static Bytes look_up(Bytes table, Bytes index) { return {_mm256_shuffle_epi8(table.v, index.v)}; }
  static Bytes and_(Bytes a, Bytes b) { return {_mm256_and_si256(a.v, b.v)}; }
  static Bytes or_(Bytes a, Bytes b) { return {_mm256_or_si256(a.v, b.v)}; }
  template <int kLeft> static Bytes shift(Bytes a) {
    if constexpr (kLeft >= 0)
      return {_mm256_slli_epi16(a.v, kLeft)};
    else
      return {_mm256_srli_epi16(a.v, -kLeft)};
  }

  // Each 16-bit lane of a product is at most highest * 127 * 2.
  static constexpr int run(int highest, bool full) {
    const int n = full ? 1 : 32767 / (highest * 254);
    return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
  }
  template <bool kFull> static Partial step(Partial p, Bytes w, const int8_t* x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    const __m256i b = _mm256_set1_epi32(four);
    const __m256i pairs =
        kFull ? _mm256_maddubs_epi16(_mm256_abs_epi8(w.v), _mm256_sign_epi8(b, w.v)) : _mm256_maddubs_epi16(w.v, b);
    __m256i sum = _mm256_add_epi16(p.v, pairs);
    asm("" : "+x"(sum));  // the sums stay where they are: GCC would take all products first, and spill them
    return {sum};
  }
  static Ints flush(Ints sum, Partial p) {
    __m256i wide = _mm256_add_epi32(sum.v, _mm256_madd_epi16(p.v, _mm256_set1_epi16(1)));
    asm("" : "+x"(wide));  // as in step
    return {wide};
  }
  static Ints splat(int32_t a) { return {_mm256_set1_epi32(a)}; }
  static Floats to_float(Ints a) { return {_mm256_cvtepi32_ps(a.v)}; }

  static Floats splat(float a) { return {_mm256_set1_ps(a)}; }
  static Floats load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static void store(float* p, Floats a) { _mm256_storeu_ps(p, a.v); }
  static Floats add(Floats a, Floats b) { return {_mm256_add_ps(a.v, b.v)}; }
  static Floats mul(Floats a, Floats b) { return {_mm256_mul_ps(a.v, b.v)}; }
  static Floats fma(Floats a, Floats b, Floats c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  static Floats load_half(const uint8_t* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
  }
  static Floats load_bf16(const uint8_t* p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))};
  }
  static __m128i eight(const uint8_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }
  static Floats load_signed(const uint8_t* p) { return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight(p)))}; }
  static Floats load_low(const uint8_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_and_si256(_mm256_cvtepu8_epi32(eight(p)), _mm256_set1_epi32(15)))};
  }
  static Floats load_high(const uint8_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_srli_epi32(_mm256_cvtepu8_epi32(eight(p)), 4))};
  }
  static Floats load_exponent(const uint8_t* p) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu8_epi32(eight(p)), 23))};
  }
  static Floats load_ue4m3(const uint8_t* p) {
    return {_mm256_cvtph_ps(_mm_slli_epi16(_mm_cvtepu8_epi16(eight(p)), 7))};
  }
};

}  // namespace
}  // namespace bitwright
