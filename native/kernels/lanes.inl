// Float vectors of the tier being compiled: `vf` is kLanes floats, with the operators of GCC's vector extension; what that
// lacks (fused multiply-add, float16) is one function each. Included inside the tier's namespace by vector.inl.

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float vf __attribute__((vector_size(4 * kLanes)));
typedef int32_t vi __attribute__((vector_size(4 * kLanes)));
typedef float vf_unaligned __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

static inline vf load(const float* x) { return *reinterpret_cast<const vf_unaligned*>(x); }
static inline void store(float* x, vf v) { *reinterpret_cast<vf_unaligned*>(x) = v; }
static inline vf splat(float x) { return x - vf{}; }   // not 0 + x, which would have to turn -0 into 0
static inline vf max(vf a, vf b) { return a > b ? a : b; }
static inline vf min(vf a, vf b) { return a < b ? a : b; }

#if defined(__AVX512F__)
constexpr __mmask16 kAll = 0xffff;   // the unmasked conversions read an undefined vector, which GCC 12 warns of
static inline vf fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf load(const half_t* x) { return _mm512_maskz_cvtph_ps(kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x))); }
static inline void store(half_t* x, vf v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(x), _mm512_maskz_cvtps_ph(kAll, v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
#elif defined(__AVX2__)
static inline vf fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf load(const half_t* x) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x))); }
static inline void store(half_t* x, vf v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(x), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
#elif defined(__ARM_NEON)
static inline vf fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static inline vf load(const half_t* x) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x))); }
static inline void store(half_t* x, vf v) { vst1_u16(x, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
#else
static inline vf fma(vf a, vf b, vf c) { return a * b + c; }

// binary16 by bits: a multiplication by 2^112 puts the exponent right, subnormals included; infinity and NaN are patched.
static inline float half_value(half_t h) {
  const uint32_t bits = (h & 0x7fffu) << 13;
  const float magnitude = __builtin_bit_cast(float, bits) * 0x1p112f;
  const uint32_t finite = __builtin_bit_cast(uint32_t, magnitude);
  return __builtin_bit_cast(float, ((h & 0x7c00u) == 0x7c00u ? bits | 0x7f800000u : finite) | (h & 0x8000u) << 16);
}

// Rounds to nearest, ties to even.
static inline half_t half_bits(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<half_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<half_t>(sign | 0x7c00u);            // rounds to 65536 or more
  if (magnitude < 0x38800000u) {                                                       // subnormal: steps of 2^-24
    const float shifted = __builtin_bit_cast(float, magnitude) + 0x1p-1f;
    return static_cast<half_t>(sign | (__builtin_bit_cast(uint32_t, shifted) - 0x3f000000u));
  }
  return static_cast<half_t>(sign | ((magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13));
}

static inline vf load(const half_t* x) {
  vf v{};
  for (int i = 0; i < kLanes; ++i) v[i] = half_value(x[i]);
  return v;
}
static inline void store(half_t* x, vf v) {
  for (int i = 0; i < kLanes; ++i) x[i] = half_bits(v[i]);
}
#endif

static inline float sum(vf v) {
  float s = 0;
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) v[i] += v[i + width];
  return s + v[0];
}

static inline float largest(vf v) {
  float s = v[0];
  for (int i = 1; i < kLanes; ++i) s = v[i] > s ? v[i] : s;
  return s;
}

// e^x within 2 ulp: x = n ln 2 + r with |r| <= ln(2) / 2, the Taylor series of e^r to r^7 (its remainder is 5e-9), times 2^n.
// Below -87.3, where e^x leaves the normal floats, it gives 0; above 88.3 it stays there.
static inline vf exp(vf x) {
  const vf clamped = min(max(x, splat(-87.3f)), splat(88.3f));
  const vf shift = splat(0x1.8p23f);                                  // adding it rounds to an integer kept in the low bits
  const vf biased = fma(clamped, splat(1.44269504f), shift), n = biased - shift;
  const vf r = fma(n, splat(-0x1.7f7d1cp-20f), fma(n, splat(-0x1.62e4p-1f), clamped));   // ln 2 in two parts
  constexpr float kTaylor[] = {1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, 1.f / 2, 1.f, 1.f};
  vf p = splat(1.f / 5040);
  for (float c : kTaylor) p = fma(p, r, splat(c));
  const vi exponent = (reinterpret_cast<vi>(biased) - reinterpret_cast<vi>(shift)) << 23;
  const vf y = reinterpret_cast<vf>(reinterpret_cast<vi>(p) + exponent);
  return x < -87.3f ? vf{} : y;
}

static inline vf tanh(vf x) { return 1.f - 2.f / (exp(x * 2.f) + 1.f); }   // within 2e-7 absolutely
