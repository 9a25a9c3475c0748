// Q4_0 Q4_1 Q5_0 Q5_1 IQ4_NL as llama.cpp encodes them with importance, by the scans of scale_scan.inl.

// Importance, or ones.
template <int N>
BITWRIGHT_INLINE void load_weights(const float* importance, int64_t count, Floats* w) {
  if (importance)
    load_lanes<N>(importance, count, w);
  else
    for (int i = 0; i < N; i++) w[i] = splat(1.f);
}

// Like by_lanes, with a weight for each value; the scales passed on are rounded to float16.
template <int N, class Encode, class Store>
BITWRIGHT_INLINE int64_t by_weighted_lanes(const float* x, const float* importance, int64_t blocks, Encode&& encode,
                                           Store&& store) {
  for (int64_t b = 0; b < blocks; b += kLanes) {
    const int64_t count = std::min<int64_t>(kLanes, blocks - b);
    Floats lanes[N], weights[N], scale{}, m{};
    uint8_t codes[kLanes * N];
    load_lanes<N>(x + b * N, count, lanes);
    load_weights<N>(importance ? importance + b * N : nullptr, count, weights);
    encode(lanes, weights, scale, m);
    store_lanes<N>(lanes, codes);
    for (int64_t k = 0; k < count; k++)
      if (!store(b + k, codes + k * N, scale[k], m[k])) return b + k;
  }
  return -1;
}

// llama.cpp's weights: importance * sqrt(spread + x^2), where spread is the mean square of the row or twice that of the
// block.
template <int N>
BITWRIGHT_INLINE void stress(const Floats* x, Floats spread, Floats* w) {
  for (int i = 0; i < N; i++) w[i] = w[i] * sqrt(spread + x[i] * x[i]);
}

BITWRIGHT_INLINE Floats row_spread(const float* x, int64_t blocks) {
  float sum = 0.f;
  for (int64_t i = 0; i < blocks * 32; i++) sum += x[i] * x[i];
  return splat(sum / static_cast<float>(blocks * 32));
}

template <int Half, class Store>
BITWRIGHT_INLINE int64_t weighted_symmetric(const float* x, const float* importance, int64_t blocks, Store store) {
  const Floats spread = row_spread(x, blocks);
  const auto encode = [&spread](Floats* v, Floats* w, Floats& scale, Floats&) BITWRIGHT_FORCE {
    stress<32>(v, spread, w);
    scale = scan_symmetric<32, IntegerGrid<Half>>(v, w, splat(-Half), -Half, 0.1f, 9);
    const Floats inverse = reciprocal(as_half(scale));
    for (int i = 0; i < 32; i++) v[i] = IntegerGrid<Half>::code(inverse * v[i]);
  };
  return by_weighted_lanes<32>(x, importance, blocks, encode, store);
}

template <int Top, class Store>
BITWRIGHT_INLINE int64_t weighted_from_min(const float* x, const float* importance, int64_t blocks, Store store) {
  const Floats spread = row_spread(x, blocks);
  const auto encode = [&spread](Floats* v, Floats* w, Floats& scale, Floats& m) BITWRIGHT_FORCE {
    stress<32>(v, spread, w);
    scan_asymmetric<32, Top, false, true>(v, w, {-0.9f, 0.05f, 36}, scale, m);
    const Floats inverse = reciprocal(as_half(scale)), low = as_half(m);
    for (int i = 0; i < 32; i++) v[i] = asymmetric_code(v[i], inverse, low, Top);
  };
  return by_weighted_lanes<32>(x, importance, blocks, encode, store);
}

static int64_t rtn_q4_0(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  if (!importance) return encode_q4_0(x, nullptr, blocks, out);
  return weighted_symmetric<8>(x, importance, blocks, store_to<StoreQ4_0>(out));
}

static int64_t rtn_q5_0(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  if (!importance) return encode_q5_0(x, nullptr, blocks, out);
  return weighted_symmetric<16>(x, importance, blocks, store_to<StoreQ5_0>(out));
}

static int64_t rtn_q4_1(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  if (!importance) return encode_q4_1(x, nullptr, blocks, out);
  return weighted_from_min<15>(x, importance, blocks, store_to<StoreQ4_1>(out));
}

static int64_t rtn_q5_1(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  if (!importance) return encode_q5_1(x, nullptr, blocks, out);
  return weighted_from_min<31>(x, importance, blocks, store_to<StoreQ5_1>(out));
}

static int64_t rtn_iq4_nl(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  if (!importance) return encode_iq4_nl(x, nullptr, blocks, out);
  const auto encode = [](Floats* v, Floats* w, Floats& scale, Floats&) BITWRIGHT_FORCE {
    Floats sum{};
    for (int i = 0; i < 32; i++) sum += v[i] * v[i];
    stress<32>(v, sum / 16.f, w);
    scale = settle_iq4(v, w, scan_iq4(v, w));
    const Floats inverse = reciprocal(scale);
    for (int i = 0; i < 32; i++) v[i] = Iq4Grid::code(inverse * v[i]);
  };
  return by_weighted_lanes<32>(x, importance, blocks, encode, store_to<StoreIq4Nl>(out));
}
