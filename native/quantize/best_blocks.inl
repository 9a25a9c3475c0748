// Method search for formats with one float16 scale (and min) per block: Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL TQ1_0 TQ2_0
// Q1_0 Q2_0.

template <class Grid, class Store>
BITWRIGHT_INLINE int64_t search_blocks(const float* x, const float* importance, int64_t blocks, Stretch stretch,
                                       Store store) {
  constexpr int N = Store::size;
  const auto encode = [stretch](Floats* v, const Floats* w, Floats& scale, Floats&) BITWRIGHT_FORCE {
    Floats other;
    scale = best_symmetric<N, Grid>(v, w, stretch, other);
    const Floats inverse = reciprocal(as_half(scale));
    for (int i = 0; i < N; i++) v[i] = Grid::code(inverse * v[i]);
  };
  return by_weighted_lanes<N>(x, importance, blocks, encode, store);
}

// The float16 scale near the wanted one, and the float16 min that fits its codes, with the least error.
template <int N, int Top>
BITWRIGHT_INLINE void store_asymmetric(const Floats* x, const Floats* w, Floats& scale, Floats& low) {
  const Ints bits = half_bits(scale);
  const Floats wanted_low = low;
  Floats best = splat(INFINITY), sum_w{}, sum_x{}, code[N];
  for (int i = 0; i < N; i++) {
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  for (int delta : {0, -1, 1}) {
    const Ints trial = bits + ((bits > 0) & (bits < 0x7bff) & delta);
    const Floats s = half_value(trial), inverse = reciprocal(s);
    Floats sum_l{};
    for (int i = 0; i < N; i++) {
      code[i] = asymmetric_code(x[i], inverse, wanted_low, Top);
      sum_l += w[i] * code[i];
    }
    const Floats m = as_half((sum_x - s * sum_l) * reciprocal(sum_w)), error = fit_error<N, false>(x, w, code, s, m);
    const Ints better = error < best;
    best = select(better, error, best);
    scale = select(better, s, scale);
    low = select(better, m, low);
  }
}

template <int Top, class Store>
BITWRIGHT_INLINE int64_t search_from_min(const float* x, const float* importance, int64_t blocks, Store store) {
  const auto encode = [](Floats* v, const Floats* w, Floats& scale, Floats& m) BITWRIGHT_FORCE {
    best_asymmetric<32, Top, true>(v, w, scale, m);
    store_asymmetric<32, Top>(v, w, scale, m);
    const Floats inverse = reciprocal(scale), low = m;
    for (int i = 0; i < 32; i++) v[i] = asymmetric_code(v[i], inverse, low, Top);
  };
  return by_weighted_lanes<32>(x, importance, blocks, encode, store);
}

static int64_t search_q4_0(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_blocks<IntegerGrid<8>>(x, importance, blocks, {0.6f, 1.04f, 38, 4}, store_to<StoreQ4_0>(out));
}

static int64_t search_q5_0(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_blocks<IntegerGrid<16>>(x, importance, blocks, {0.6f, 1.025f, 60, 4}, store_to<StoreQ5_0>(out));
}

static int64_t search_q8_0(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_blocks<EvenGrid<127>>(x, importance, blocks, kStretch<EvenGrid<127>>, store_to<StoreQ8_0>(out));
}

static int64_t search_q4_1(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_from_min<15>(x, importance, blocks, store_to<StoreQ4_1>(out));
}

static int64_t search_q5_1(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_from_min<31>(x, importance, blocks, store_to<StoreQ5_1>(out));
}

static int64_t search_iq4_nl(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_blocks<Iq4Grid>(x, importance, blocks, {0.6f, 1.04f, 38, 4}, store_to<StoreIq4Nl>(out));
}

static int64_t search_tq1_0(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_blocks<EvenGrid<1>>(x, importance, blocks, {0.5f, 1.06f, 48, 4}, store_to<StoreTq1>(out));
}

static int64_t search_tq2_0(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_blocks<EvenGrid<1>>(x, importance, blocks, {0.5f, 1.06f, 48, 4}, store_to<StoreTq2>(out));
}

static int64_t search_q1_0(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  const auto encode = [](Floats* v, const Floats* w, Floats& scale, Floats&) BITWRIGHT_FORCE {  // the exact best
    Floats sum_w{}, sum_x{};
    for (int i = 0; i < 128; i++) {
      sum_w += w[i];
      sum_x += w[i] * abs(v[i]);
      v[i] = SignGrid::code(v[i]);
    }
    scale = sum_x * reciprocal(sum_w);
  };
  return by_weighted_lanes<128>(x, importance, blocks, encode, store_to<StoreQ1_0>(out));
}

static int64_t search_q2_0(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_blocks<TwoBitGrid>(x, importance, blocks, {0.6f, 1.04f, 38, 4}, store_to<StoreQ2_0>(out));
}
