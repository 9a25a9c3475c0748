// Q1_0 and Q2_0: one float16 scale for 128 signs, or for 64 codes of two bits.

struct SignGrid {  // -1 and 1
  static constexpr float low = -1.f, high = 1.f;
  BITWRIGHT_INLINE Floats nearest(Floats v) { return select(v < 0.f, splat(-1.f), splat(1.f)); }
  BITWRIGHT_INLINE Floats code(Floats v) { return select(v < 0.f, Floats{}, splat(1.f)); }
};

struct TwoBitGrid {  // -1 .. 2
  static constexpr float low = -1.f, high = 2.f;
  BITWRIGHT_INLINE Floats nearest(Floats v) { return clamp(round_even(v), -1.f, 2.f); }
  BITWRIGHT_INLINE Floats code(Floats v) { return nearest(v) + 1.f; }
};

static int64_t encode_q1_0(const float* x, const float*, int64_t blocks, uint8_t* out) {
  const auto encode = [](Floats* v, Floats& scale, Floats&) {
    for (int i = 0; i < 128; i++) {
      scale += abs(v[i]);
      v[i] = SignGrid::code(v[i]);
    }
    scale /= 128.f;
  };
  return by_lanes<128>(x, blocks, encode, store_to<StoreQ1_0>(out));
}

// The scale is the largest magnitude, so ggml never uses the code for twice the scale.
static int64_t encode_q2_0(const float* x, const float*, int64_t blocks, uint8_t* out) {
  const auto encode = [](Floats* v, Floats& scale, Floats&) {
    scale = abs(signed_extreme<64>(v));
    const Floats inverse = reciprocal(scale);
    for (int i = 0; i < 64; i++) v[i] = round_away(v[i] * inverse) + 1.f;
  };
  return by_lanes<64>(x, blocks, encode, store_to<StoreQ2_0>(out));
}
