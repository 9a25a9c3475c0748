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
static inline vf splat(float x) { return x - vf{}; }  // not 0 + x, which would have to turn -0 into 0
static inline vf max(vf a, vf b) { return a > b ? a : b; }
static inline vf min(vf a, vf b) { return a < b ? a : b; }

#if defined(__AVX512F__)
constexpr __mmask16 kAll = 0xffff;  // the unmasked conversions read an undefined vector, which GCC 12 warns of
static inline vf fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf load(const half_t* x) {
  return _mm512_maskz_cvtph_ps(kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
}
#elif defined(__AVX2__)
static inline vf fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf load(const half_t* x) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x))); }
#elif defined(__ARM_NEON)
static inline vf fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static inline vf load(const half_t* x) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x))); }
#else
static inline vf fma(vf a, vf b, vf c) { return a * b + c; }

// binary16 by bits: a multiplication by 2^112 puts the exponent right, subnormals included; infinity and NaN are patched.
static inline float half_value(half_t h) {
  const uint32_t bits = (h & 0x7fffu) << 13;
  const float magnitude = __builtin_bit_cast(float, bits) * 0x1p112f;
  const uint32_t finite = __builtin_bit_cast(uint32_t, magnitude);
  return __builtin_bit_cast(float, ((h & 0x7c00u) == 0x7c00u ? bits | 0x7f800000u : finite) | (h & 0x8000u) << 16);
}

static inline vf load(const half_t* x) {
  vf v{};
  for (int i = 0; i < kLanes; ++i) v[i] = half_value(x[i]);
  return v;
}
#endif

// kLanes small integers as large ones. GCC 12 takes __builtin_convertvector from half a register apart, element by element.
#if defined(__AVX512F__)
static inline vi widen(const int8_t* x) {
  return reinterpret_cast<vi>(_mm512_maskz_cvtepi8_epi32(kAll, _mm_loadu_si128(reinterpret_cast<const __m128i*>(x))));
}
static inline vi widen(const uint16_t* x) {
  return reinterpret_cast<vi>(
      _mm512_maskz_cvtepu16_epi32(kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x))));
}
#elif defined(__AVX2__)
static inline vi widen(const int8_t* x) {
  return reinterpret_cast<vi>(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(x))));
}
static inline vi widen(const uint16_t* x) {
  return reinterpret_cast<vi>(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x))));
}
#else
template <typename T>
static inline vi widen(const T* x) {
  vi v{};
  for (int i = 0; i < kLanes; ++i) v[i] = x[i];
  return v;
}
#endif

// What a cache holds beside float16: bfloat16, and signed codes of 8 bits or of 4, in the low or the high half of a byte.
static inline vf load_bf16(const uint16_t* x) { return reinterpret_cast<vf>(widen(x) << 16); }
static inline vf load_codes(const int8_t* x) { return __builtin_convertvector(widen(x), vf); }
static inline vf load_low(const int8_t* x) { return __builtin_convertvector(widen(x) << 28 >> 28, vf); }
static inline vf load_high(const int8_t* x) { return __builtin_convertvector(widen(x) >> 4, vf); }

// Lane i of the result is lane i ^ w of v. Reductions go by halves, so that a tier adds in one fixed order.
template <int w>
static inline vf exchange(vf v) {
#if defined(__AVX512F__)
  return __builtin_shufflevector(v, v, w, 1 ^ w, 2 ^ w, 3 ^ w, 4 ^ w, 5 ^ w, 6 ^ w, 7 ^ w, 8 ^ w, 9 ^ w, 10 ^ w, 11 ^ w,
                                 12 ^ w, 13 ^ w, 14 ^ w, 15 ^ w);
#elif defined(__AVX2__)
  return __builtin_shufflevector(v, v, w, 1 ^ w, 2 ^ w, 3 ^ w, 4 ^ w, 5 ^ w, 6 ^ w, 7 ^ w);
#else
  return __builtin_shufflevector(v, v, w, 1 ^ w, 2 ^ w, 3 ^ w);
#endif
}

template <int w = kLanes / 2>
static inline float sum(vf v) {
  if constexpr (w > 0)
    return sum<w / 2>(v + exchange<w>(v));
  else
    return v[0];
}

template <int w = kLanes / 2>
static inline float largest(vf v) {
  if constexpr (w > 0)
    return largest<w / 2>(max(v, exchange<w>(v)));
  else
    return v[0];
}

// e^x within 2 ulp: x = n ln 2 + r with |r| <= ln(2) / 2, the Taylor series of e^r to r^7 (its remainder is 5e-9), times 2^n.
// Below -87.3, where e^x leaves the normal floats, it gives 0; above 88.3 it stays there.
static inline vf exp(vf x) {
  const vf clamped = min(max(x, splat(-87.3f)), splat(88.3f));
  const vf shift = splat(0x1.8p23f);  // adding it rounds to an integer kept in the low bits
  const vf biased = fma(clamped, splat(1.44269504f), shift), n = biased - shift;
  const vf r = fma(n, splat(-0x1.7f7d1cp-20f), fma(n, splat(-0x1.62e4p-1f), clamped));  // ln 2 in two parts
  constexpr float kTaylor[] = {1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, 1.f / 2, 1.f, 1.f};
  vf p = splat(1.f / 5040);
  for (float c : kTaylor) p = fma(p, r, splat(c));
  const vi exponent = (reinterpret_cast<vi>(biased) - reinterpret_cast<vi>(shift)) << 23;
  const vf y = reinterpret_cast<vf>(reinterpret_cast<vi>(p) + exponent);
  return x < -87.3f ? vf{} : y;
}

static inline vf tanh(vf x) { return 1.f - 2.f / (exp(x * 2.f) + 1.f); }  // within 2e-7 absolutely
