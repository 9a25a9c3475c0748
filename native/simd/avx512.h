// AVX-512 with VNNI. dpbusd multiplies unsigned by signed bytes into 32 bits; the operand it can broadcast from memory is the
// signed one, so weights are the unsigned: codes that span int8 are stored plus 128. See scalar.h for what the names mean.
#pragma once
#ifdef BITWRIGHT_EMULATE_AVX512
#include "../tests/emulate_avx512.h"  // the kernel test runs this file's arithmetic on machines without AVX-512
#else
#include <immintrin.h>
#endif

#include "../fp.h"

namespace bitwright {
namespace {

struct Ops {
  static constexpr int kLanes = 16, kVector = 64, kRowVectors = 2, kTokens = 6, kFullOffset = 128;
  static constexpr bool kDirect = true, kMatrix = false;
  static constexpr __mmask16 kAll = 0xffff;  // unmasked conversions read an undefined vector, which GCC 12 warns of
  struct Bytes { __m512i v; };
  struct Ints { __m512i v; };
  struct Floats { __m512 v; };
  using Partial = Ints;

  static Bytes load(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
  static void store(uint8_t* p, Bytes a) { _mm512_storeu_si512(p, a.v); }
  static Bytes splat(uint8_t b) { return {_mm512_set1_epi8(char(b))}; }
  static Bytes table(const uint8_t* sixteen) {
    return {_mm512_maskz_broadcast_i32x4(kAll, _mm_loadu_si128(reinterpret_cast<const __m128i*>(sixteen)))};
  }
  static Bytes look_up(Bytes table, Bytes index) { return {_mm512_shuffle_epi8(table.v, index.v)}; }
  static Bytes and_(Bytes a, Bytes b) { return {_mm512_and_si512(a.v, b.v)}; }
  static Bytes or_(Bytes a, Bytes b) { return {_mm512_or_si512(a.v, b.v)}; }
  template <int kLeft> static Bytes shift(Bytes a) {
    if constexpr (kLeft >= 0)
      return {_mm512_slli_epi16(a.v, kLeft)};
    else
      return {_mm512_srli_epi16(a.v, -kLeft)};
  }

  static constexpr int run(int, bool) { return 8; }
  template <bool> static Partial step(Partial p, Bytes w, const int8_t* x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    return {_mm512_dpbusd_epi32(p.v, w.v, _mm512_set1_epi32(four))};
  }
  static Ints flush(Ints, Partial p) { return p; }
  static Ints splat(int32_t a) { return {_mm512_set1_epi32(a)}; }
  static Floats to_float(Ints a) { return {_mm512_maskz_cvtepi32_ps(kAll, a.v)}; }

  static Floats splat(float a) { return {_mm512_set1_ps(a)}; }
  static Floats load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static void store(float* p, Floats a) { _mm512_storeu_ps(p, a.v); }
  static Floats add(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
  static Floats mul(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
  static Floats fma(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  static __m128i sixteen(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static __m256i thirty_two(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static __m512i wide(const uint8_t* p) { return _mm512_maskz_cvtepu8_epi32(kAll, sixteen(p)); }
  static Floats load_half(const uint8_t* p) { return {_mm512_maskz_cvtph_ps(kAll, thirty_two(p))}; }
  static Floats load_bf16(const uint8_t* p) {
    return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAll, _mm512_maskz_cvtepu16_epi32(kAll, thirty_two(p)), 16))};
  }
  static Floats load_signed(const uint8_t* p) { return to_float({_mm512_maskz_cvtepi8_epi32(kAll, sixteen(p))}); }
  static Floats load_low(const uint8_t* p) { return to_float({_mm512_and_si512(wide(p), _mm512_set1_epi32(15))}); }
  static Floats load_high(const uint8_t* p) { return to_float({_mm512_maskz_srli_epi32(kAll, wide(p), 4)}); }
  static Floats load_exponent(const uint8_t* p) {
    return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAll, wide(p), 23))};
  }
  static Floats load_ue4m3(const uint8_t* p) {
    return {_mm512_maskz_cvtph_ps(kAll, _mm256_slli_epi16(_mm256_cvtepu8_epi16(sixteen(p)), 7))};
  }
};

}  // namespace
}  // namespace bitwright
