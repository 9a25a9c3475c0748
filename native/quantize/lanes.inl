// Several blocks (or sub-blocks) side by side: lane k of every vector belongs to block k, so each block's sums run in order and a
// scan needs no horizontal step. kLanes, set by the including file, is what one register of the target holds; the results do
// not depend on it.

typedef float floats __attribute__((vector_size(4 * kLanes)));
typedef int32_t ints __attribute__((vector_size(4 * kLanes)));
typedef uint16_t halves __attribute__((vector_size(2 * kLanes)));

#define BITWRIGHT_FORCE __attribute__((always_inline))
#define BITWRIGHT_INLINE static inline BITWRIGHT_FORCE

BITWRIGHT_INLINE floats splat(float v) { return v - floats{}; }  // not +: that would lose the sign of -0
BITWRIGHT_INLINE floats select(ints mask, floats a, floats b) { return (floats)((mask & (ints)a) | (~mask & (ints)b)); }
BITWRIGHT_INLINE floats min_of(floats a, floats b) { return a < b ? a : b; }
BITWRIGHT_INLINE floats max_of(floats a, floats b) { return a > b ? a : b; }
BITWRIGHT_INLINE floats abs_of(floats a) { return (floats)((ints)a & 0x7fffffff); }
BITWRIGHT_INLINE floats clamp(floats a, float low, float high) { return min_of(max_of(a, splat(low)), splat(high)); }

// To the nearest integer, ties to even, for |a| < 2^22.
BITWRIGHT_INLINE floats round_even(floats a) { return (a + 12582912.f) - 12582912.f; }

// Truncation for |a| < 2^31; beyond and for NaN the result is unspecified, so callers keep their values in range.
BITWRIGHT_INLINE floats truncate(floats a) { return __builtin_convertvector(__builtin_convertvector(a, ints), floats); }

// To the nearest integer, halves away from zero (C's roundf).
BITWRIGHT_INLINE floats round_away(floats a) {
  const floats whole = truncate(a), rest = a - whole;
  return whole + select(rest >= 0.5f, splat(1.f), select(rest <= -0.5f, splat(-1.f), floats{}));
}

// The first `count` of kLanes elements, the others zero; and back. A whole vector is one instruction, a part a call.
template <class Vector, class Element>
BITWRIGHT_INLINE Vector load_some(const Element* from, int64_t count) {
  Vector v{};
  if (count >= kLanes)
    std::memcpy(&v, from, sizeof v);
  else
    std::memcpy(&v, from, count * sizeof(Element));
  return v;
}
template <class Vector, class Element>
BITWRIGHT_INLINE void store_some(const Vector& v, Element* to, int64_t count) {
  if (count >= kLanes)
    std::memcpy(to, &v, sizeof v);
  else
    std::memcpy(to, &v, count * sizeof(Element));
}

BITWRIGHT_INLINE bool any(ints mask) {
  uint64_t words[kLanes / 2], all = 0;
  std::memcpy(words, &mask, sizeof words);
  for (uint64_t word : words) all |= word;
  return all != 0;
}

BITWRIGHT_INLINE floats sqrt_of(floats a) {
  for (int k = 0; k < kLanes; k++) a[k] = std::sqrt(a[k]);
  return a;
}

// 1 / d, and 0 where that is infinite: such a scale is 0 once stored.
BITWRIGHT_INLINE floats reciprocal(floats d) {
  const floats r = 1.f / d;
  return select(abs_of(r) <= 3.402823466e38f, r, floats{});
}

// out[i] lane k = x[k * N + i]; lanes from `blocks` on repeat the last block.
template <int N>
BITWRIGHT_INLINE void load_lanes(const float* x, int64_t blocks, floats* out) {
  for (int k = 0; k < kLanes; k++) {
    const float* row = x + std::min<int64_t>(k, blocks - 1) * N;
    for (int i = 0; i < N; i++) out[i][k] = row[i];
  }
}

// codes[k * N + i] = lane k of in[i], for small non-negative or int8 values.
template <int N>
BITWRIGHT_INLINE void store_lanes(const floats* in, uint8_t* codes) {
  for (int i = 0; i < N; i++) {
    const ints v = __builtin_convertvector(in[i], ints);
    for (int k = 0; k < kLanes; k++) codes[k * N + i] = static_cast<uint8_t>(v[k]);
  }
}

// float32 to float16 by bits, to nearest even; every lane holds the sixteen bits. Beyond float16's range the result is infinity.
BITWRIGHT_INLINE ints half_bits(floats a) {
  const ints bits = (ints)a, sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  const ints normal = (magnitude + 0xfff + ((magnitude >> 13) & 1) - (112 << 23)) >> 13;
  const ints subnormal =
      (ints)((floats)magnitude + 0.5f) - 0x3f000000;  // adding 0.5 leaves units of 2^-24 in the last bits
  const ints small = magnitude < (113 << 23), large = magnitude >= 0x477ff000;
  return sign | (large & 0x7c00) | (~large & ((small & subnormal) | (~small & normal)));
}

// float16 bits to float32, for finite values.
BITWRIGHT_INLINE floats half_value(ints bits) {
  const floats magnitude = (floats)((bits & 0x7fff) << 13) * 5.192296858534828e33f;  // 2^112
  return (floats)((ints)magnitude | ((bits & 0x8000) << 16));
}

BITWRIGHT_INLINE floats as_half(floats a) { return half_value(half_bits(a)); }  // as float16 stores it

BITWRIGHT_INLINE half_t to_half(float v) { return static_cast<half_t>(half_bits(splat(v))[0]); }
BITWRIGHT_INLINE float from_half(half_t h) { return half_value(ints{} + static_cast<int32_t>(h))[0]; }
BITWRIGHT_INLINE bool is_infinite(half_t h) { return (h & 0x7c00) == 0x7c00; }
