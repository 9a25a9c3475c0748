// Operations that every tier derives in the same way from its instructions (fma, widen, load_half). Included after its
// op-set.

// kLanes stored numbers as float32: bfloat16, signed codes of 8 bits, and codes of 4 bits in the low or the high half
// of a byte, which are signed if the pointer's type is.
BITWRIGHT_INLINE Floats load_bf16(const void* from) {
  return (Floats)(widen(static_cast<const uint16_t*>(from)) << 16);
}
BITWRIGHT_INLINE Floats load_codes(const int8_t* from) { return to_floats(widen(from)); }
BITWRIGHT_INLINE Floats load_low(const int8_t* from) { return to_floats(widen(from) << 28 >> 28); }
BITWRIGHT_INLINE Floats load_high(const int8_t* from) { return to_floats(widen(from) >> 4); }
BITWRIGHT_INLINE Floats load_low(const uint8_t* from) { return to_floats(widen(from) & 15); }
BITWRIGHT_INLINE Floats load_high(const uint8_t* from) { return to_floats(widen(from) >> 4); }
BITWRIGHT_INLINE Floats load_exponent(const uint8_t* from) {
  return (Floats)(widen(from) << 23);
}  // 2^(e - 127); 0 for e = 0

// Lane i of the result is lane i ^ w of v. Reductions proceed by halves, so that a tier adds in one fixed order.
// V is always Floats: Clang compiles the branches that do not apply unless they depend on a template's parameter.
template <int w, typename V>
BITWRIGHT_INLINE V exchange(V v) {
  constexpr int lanes = sizeof(V) / sizeof(float);
  static_assert(lanes == 4 || lanes == 8 || lanes == 16);
  if constexpr (lanes == 16)
    return __builtin_shufflevector(v, v, w, 1 ^ w, 2 ^ w, 3 ^ w, 4 ^ w, 5 ^ w, 6 ^ w, 7 ^ w, 8 ^ w, 9 ^ w, 10 ^ w,
                                   11 ^ w, 12 ^ w, 13 ^ w, 14 ^ w, 15 ^ w);
  else if constexpr (lanes == 8)
    return __builtin_shufflevector(v, v, w, 1 ^ w, 2 ^ w, 3 ^ w, 4 ^ w, 5 ^ w, 6 ^ w, 7 ^ w);
  else
    return __builtin_shufflevector(v, v, w, 1 ^ w, 2 ^ w, 3 ^ w);
}

template <int w = kLanes / 2>
static inline float sum(Floats v) {
  if constexpr (w > 0)
    return sum<w / 2>(v + exchange<w>(v));
  else
    return v[0];
}

template <int w = kLanes / 2>
static inline float largest(Floats v) {
  if constexpr (w > 0)
    return largest<w / 2>(max(v, exchange<w>(v)));
  else
    return v[0];
}

template <int w = kLanes / 2>
static inline int32_t largest(Ints v) {
  if constexpr (w > 0) {
    const Ints other = (Ints)exchange<w>((Floats)v);
    return largest<w / 2>(v > other ? v : other);
  } else {
    return v[0];
  }
}

// e^x within 2 ulp: x = n ln 2 + r with |r| <= ln(2) / 2, the Taylor series of e^r to r^7 (its remainder is 5e-9),
// times 2^n. Below -87.3, where e^x is no longer a normal float, the result is 0; above 88.3 it stays constant.
static inline Floats exp(Floats x) {
  const Floats clamped = min(max(x, splat(-87.3f)), splat(88.3f));
  const Floats shift = splat(0x1.8p23f);  // adding it rounds to an integer, which the low bits hold
  const Floats biased = fma(clamped, splat(1.44269504f), shift), n = biased - shift;
  const Floats r = fma(n, splat(-0x1.7f7d1cp-20f), fma(n, splat(-0x1.62e4p-1f), clamped));  // ln 2 in two parts
  constexpr float kTaylor[] = {1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, 1.f / 2, 1.f, 1.f};
  Floats p = splat(1.f / 5040);
  for (float c : kTaylor) p = fma(p, r, splat(c));
  const Ints exponent = ((Ints)biased - (Ints)shift) << 23;
  const Floats y = (Floats)((Ints)p + exponent);
  return x < -87.3f ? Floats{} : y;
}

static inline Floats tanh(Floats x) { return 1.f - 2.f / (exp(x * 2.f) + 1.f); }  // absolute error below 2e-7
