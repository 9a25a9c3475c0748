// Vector types, and every operation that GCC's vector extension can express. The kernels of all tiers and the encoders
// use them. The types support the operators + - * / & | ~ << >>, comparisons (which give masks) and mask ? a : b.
// Include this inside a namespace, after `constexpr int kLanes`.

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef uint16_t Halves __attribute__((vector_size(2 * kLanes)));  // kLanes 16-bit floats, as bits
typedef uint8_t Bytes __attribute__((vector_size(4 * kLanes)));    // in a product: four columns of each of kLanes rows
typedef uint16_t BytePairs __attribute__((vector_size(4 * kLanes)));  // the same register
typedef float UnalignedFloats __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef uint8_t UnalignedBytes __attribute__((vector_size(4 * kLanes), aligned(1), may_alias));

#define BITWRIGHT_FORCE __attribute__((always_inline))
#define BITWRIGHT_INLINE static inline BITWRIGHT_FORCE

BITWRIGHT_INLINE Floats load(const float* from) { return *reinterpret_cast<const UnalignedFloats*>(from); }
BITWRIGHT_INLINE Bytes load(const uint8_t* from) { return *reinterpret_cast<const UnalignedBytes*>(from); }
BITWRIGHT_INLINE void store(float* to, Floats v) { *reinterpret_cast<UnalignedFloats*>(to) = v; }
BITWRIGHT_INLINE void store(uint8_t* to, Bytes v) { *reinterpret_cast<UnalignedBytes*>(to) = v; }

BITWRIGHT_INLINE Floats splat(float v) { return v - Floats{}; }  // not +, which would lose the sign of -0
BITWRIGHT_INLINE Ints splat_int(int32_t v) { return v + Ints{}; }
BITWRIGHT_INLINE Bytes splat_byte(uint8_t v) { return v + Bytes{}; }

BITWRIGHT_INLINE Floats to_floats(Ints a) { return __builtin_convertvector(a, Floats); }
BITWRIGHT_INLINE Ints to_ints(Floats a) { return __builtin_convertvector(a, Ints); }  // truncates

BITWRIGHT_INLINE Floats select(Ints mask, Floats a, Floats b) { return (Floats)((mask & (Ints)a) | (~mask & (Ints)b)); }
BITWRIGHT_INLINE Floats min(Floats a, Floats b) { return a < b ? a : b; }
BITWRIGHT_INLINE Floats max(Floats a, Floats b) { return a > b ? a : b; }
BITWRIGHT_INLINE Floats abs(Floats a) { return (Floats)((Ints)a & 0x7fffffff); }
BITWRIGHT_INLINE Floats clamp(Floats a, float low, float high) { return min(max(a, splat(low)), splat(high)); }

// To the nearest integer, ties to even, for |a| < 2^22.
BITWRIGHT_INLINE Floats round_even(Floats a) { return (a + 12582912.f) - 12582912.f; }

// For |a| < 2^31. Beyond that and for NaN the result is unspecified, so callers keep their values in range.
BITWRIGHT_INLINE Floats truncate(Floats a) { return to_floats(to_ints(a)); }

// To the nearest integer, halves away from zero (C's roundf).
BITWRIGHT_INLINE Floats round_away(Floats a) {
  const Floats whole = truncate(a), rest = a - whole;
  return whole + select(rest >= 0.5f, splat(1.f), select(rest <= -0.5f, splat(-1.f), Floats{}));
}

BITWRIGHT_INLINE Floats sqrt(Floats a) {
  for (int k = 0; k < kLanes; k++) a[k] = __builtin_sqrtf(a[k]);
  return a;
}

// 1 / a, and 0 where that is infinite: such a scale is 0 once stored.
BITWRIGHT_INLINE Floats reciprocal(Floats a) {
  const Floats r = 1.f / a;
  return select(abs(r) <= 3.402823466e38f, r, Floats{});
}

BITWRIGHT_INLINE bool any(Ints mask) {
  uint64_t words[kLanes / 2], all = 0;
  __builtin_memcpy(words, &mask, sizeof words);
  for (uint64_t word : words) all |= word;
  return all != 0;
}

// Shifts each 16 bits left (right where kLeft is negative). Bits cross from one byte into the next: mask them.
template <int kLeft>
BITWRIGHT_INLINE Bytes shift(Bytes a) {
  if constexpr (kLeft >= 0)
    return (Bytes)((BytePairs)a << kLeft);
  else
    return (Bytes)((BytePairs)a >> -kLeft);
}

// float32 to the bits of a float16 (16 in each lane), rounded to nearest even. Beyond float16's range the result is
// infinity.
BITWRIGHT_INLINE Ints half_bits(Floats a) {
  const Ints bits = (Ints)a, sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  const Ints normal = (magnitude + 0xfff + ((magnitude >> 13) & 1) - (112 << 23)) >> 13;
  // adding 0.5 leaves units of 2^-24 in the last bits
  const Ints subnormal = (Ints)((Floats)magnitude + 0.5f) - 0x3f000000;
  const Ints small = magnitude < (113 << 23), large = magnitude >= 0x477ff000;
  return sign | (large & 0x7c00) | (~large & ((small & subnormal) | (~small & normal)));
}

// float16 bits to float32, for finite values.
BITWRIGHT_INLINE Floats half_value(Ints bits) {
  const Floats magnitude = (Floats)((bits & 0x7fff) << 13) * 5.192296858534828e33f;  // 2^112
  return (Floats)((Ints)magnitude | ((bits & 0x8000) << 16));
}

BITWRIGHT_INLINE Floats as_half(Floats a) { return half_value(half_bits(a)); }  // rounded to float16
