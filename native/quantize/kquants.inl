// Q2_K to Q6_K: 256 values in sub-blocks of 16 or 32, whose scales (and mins) are small integers times one float16 scale
// (and min).

template <int N, int Count = kSuper / N / kLanes>
struct Super {  // one superblock's sub-blocks as lanes
  static constexpr int groups = Count;
  Floats x[Count][N], w[Count][N], scale[Count], low[Count];

  BITWRIGHT_FORCE void load(const float* values, const float* importance, float spread, Weight kind) {
    for (int g = 0; g < Count; g++) {
      load_lanes<N>(values + g * N * kLanes, kLanes, x[g]);
      make_weights<N>(x[g], importance ? importance + g * N * kLanes : nullptr, spread, kind, w[g]);
    }
  }
  BITWRIGHT_FORCE Floats weight(int g) const {  // the weight of a whole sub-block
    Floats sum{};
    for (int i = 0; i < N; i++) sum += w[g][i];
    return sum;
  }
  BITWRIGHT_FORCE void store(uint8_t* codes) const {
    for (int g = 0; g < Count; g++) store_lanes<N>(x[g], codes + g * N * kLanes);
  }
  BITWRIGHT_FORCE void stored(const Floats* from, int* to) const {
    for (int j = 0; j < Count * kLanes; j++) to[j] = static_cast<int>(from[j / kLanes][j % kLanes]);
  }
};

template <class Block>
BITWRIGHT_INLINE float largest_of(const Block& values) {
  float largest = 0.f;
  for (const Floats& v : values)
    for (int k = 0; k < kLanes; k++) largest = std::max(largest, v[k]);
  return largest;
}

// The sub-scale with the largest magnitude, with its sign.
template <class Block>
BITWRIGHT_INLINE float extreme_of(const Block& values) {
  float extreme = 0.f;
  for (const Floats& v : values)
    for (int k = 0; k < kLanes; k++)
      if (std::fabs(v[k]) > std::fabs(extreme)) extreme = v[k];
  return extreme;
}

// The superblock scale for sub-scales that become integers 0..Limit, each weighted by its sub-block's weights: a scan
// around largest / Limit, then changes of single integers for as long as the fit improves (ggml's make_qp_quants). The
// values become integers.
template <int Limit, int Groups>
BITWRIGHT_INLINE float weighted_unit(Floats (&values)[Groups], const Floats (&weights)[Groups]) {
  constexpr int n = Groups * kLanes;
  const float largest = largest_of(values);
  if (largest < 1e-15f) {
    std::memset(values, 0, sizeof values);
    return 0.f;
  }
  float x[n], w[n], code[n];
  std::memcpy(x, values, sizeof x);
  std::memcpy(w, weights, sizeof w);
  const auto rounded = [](float v) { return std::min((v + 12582912.f) - 12582912.f, float(Limit)); };
  float least = INFINITY, inverse = 0.f;
  for (int i : {0, -4, -3, -2, -1, 1, 2, 3, 4}) {
    const float tried = (Limit + 0.1f * static_cast<float>(i)) / largest, unit = 1.f / tried;
    float error = 0.f;
    for (int j = 0; j < n; j++) {
      const float miss = x[j] - unit * rounded(tried * x[j]);
      error += w[j] * miss * miss;
    }
    if (error < least) least = error, inverse = tried;
  }
  float sum_lx = 0.f, sum_ll = 0.f;
  for (int j = 0; j < n; j++) {
    code[j] = rounded(inverse * x[j]);
    sum_lx += w[j] * x[j] * code[j];
    sum_ll += w[j] * code[j] * code[j];
  }
  for (int pass = 0, changed = 1; pass < 5 && changed; pass++) {
    changed = 0;
    for (int j = 0; j < n; j++) {
      const float rest_lx = sum_lx - w[j] * x[j] * code[j], rest_ll = sum_ll - w[j] * code[j] * code[j];
      if (!(rest_lx > 0.f && rest_ll > 0.f)) continue;
      const float l = rounded(x[j] * rest_ll / rest_lx), lx = rest_lx + w[j] * x[j] * l, ll = rest_ll + w[j] * l * l;
      if (l == code[j] || lx * lx * sum_ll <= sum_lx * sum_lx * ll) continue;
      code[j] = l, sum_lx = lx, sum_ll = ll, changed = 1;
    }
  }
  std::memcpy(values, code, sizeof code);
  return sum_ll > 0.f ? sum_lx / sum_ll : 0.f;
}

// Fits a whole asymmetric superblock; false when a superblock scale is out of float16's range.
template <int N, int Top, int Limit, bool Absolute>
BITWRIGHT_INLINE bool fit_asymmetric(Super<N>& s, Scan scan, half_t& super_scale, half_t& super_min) {
  for (int g = 0; g < s.groups; g++)
    scan_asymmetric<N, Top, Absolute, false>(s.x[g], s.w[g], scan, s.scale[g], s.low[g]);
  Floats depth[Super<N>::groups];
  for (int g = 0; g < s.groups; g++) depth[g] = -s.low[g];
  super_scale = to_half(largest_of(s.scale) / Limit);
  super_min = to_half(largest_of(depth) / Limit);
  for (int g = 0; g < s.groups; g++)
    settle_asymmetric<N, Top, Limit, Absolute>(s.x[g], s.w[g], half_to_float(super_scale), half_to_float(super_min),
                                               s.scale[g], s.low[g]);
  return !is_infinite(super_scale) && !is_infinite(super_min);
}

// The same with weights from importance.
template <int N, int Top, int Limit>
BITWRIGHT_INLINE bool fit_weighted(Super<N>& s, half_t& super_scale, half_t& super_min) {
  Floats heavy[Super<N>::groups];
  for (int g = 0; g < s.groups; g++) {
    scan_asymmetric<N, Top, false, true>(s.x[g], s.w[g], {-0.9f, 0.05f, 36}, s.scale[g], s.low[g]);
    s.low[g] = -s.low[g];
    heavy[g] = s.weight(g);
  }
  super_scale = to_half(weighted_unit<Limit>(s.scale, heavy));
  super_min = to_half(weighted_unit<Limit>(s.low, heavy));
  for (int g = 0; g < s.groups; g++) {
    const Floats inverse = reciprocal(half_to_float(super_scale) * s.scale[g]),
                 low = -half_to_float(super_min) * s.low[g];
    for (int i = 0; i < N; i++) s.x[g][i] = asymmetric_code(s.x[g][i], inverse, low, Top);
  }
  return !is_infinite(super_scale) && !is_infinite(super_min);
}

template <class Super, class Block>  // an asymmetric superblock
BITWRIGHT_INLINE void write(const Super& s, Block& y) {
  uint8_t codes[kSuper];
  int scale[16], low[16];
  s.store(codes);
  s.stored(s.scale, scale);
  s.stored(s.low, low);
  pack_block(y, codes, scale, low);
}

template <class Super, class Block>  // a symmetric one
BITWRIGHT_INLINE void write_symmetric(const Super& s, Block& y) {
  uint8_t codes[kSuper];
  int scale[16];
  s.store(codes);
  s.stored(s.scale, scale);
  pack_block(y, codes, scale);
}

static int64_t encode_q2_k(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  auto* y = reinterpret_cast<block_q2_k*>(out);
  for (int64_t b = 0; b < blocks; b++, x += kSuper, importance += importance ? kSuper : 0) {
    Super<16> s;
    s.load(x, importance, importance ? mean_square(x) : 0.f, Weight::magnitude);
    const bool in_range = importance ? fit_weighted<16, 3, 15>(s, y[b].d, y[b].dmin)
                                     : fit_asymmetric<16, 3, 15, true>(s, {-0.5f, 0.1f, 15}, y[b].d, y[b].dmin);
    if (!in_range) return b;
    write(s, y[b]);
  }
  return -1;
}

template <class Block, int Top>
BITWRIGHT_INLINE int64_t encode_k45(const float* x, const float* importance, int64_t blocks, uint8_t* out, Scan scan) {
  auto* y = reinterpret_cast<Block*>(out);
  for (int64_t b = 0; b < blocks; b++, x += kSuper, importance += importance ? kSuper : 0) {
    Super<32> s;
    s.load(x, importance, importance ? 2 * mean_square(x) : 0.f, Weight::mean_plus_magnitude);
    const bool in_range = importance ? fit_weighted<32, Top, 63>(s, y[b].d, y[b].dmin)
                                     : fit_asymmetric<32, Top, 63, false>(s, scan, y[b].d, y[b].dmin);
    if (!in_range) return b;
    write(s, y[b]);
  }
  return -1;
}

static int64_t encode_q4_k(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return encode_k45<block_q4_k, 15>(x, importance, blocks, out, {-1.f, 0.1f, 20});
}

static int64_t encode_q5_k(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return encode_k45<block_q5_k, 31>(x, importance, blocks, out, {-0.5f, 0.1f, 15});
}

static int64_t encode_q3_k(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  auto* y = reinterpret_cast<block_q3_k*>(out);
  for (int64_t b = 0; b < blocks; b++, x += kSuper, importance += importance ? kSuper : 0) {
    Super<16> s;
    s.load(x, importance, importance ? 2 * mean_square(x) : 0.f, Weight::square);
    float unit;
    if (importance) {
      Floats scales[16], heavy[16];  // the same in every lane: one block of sixteen sub-scales
      for (int g = 0; g < s.groups; g++) {
        s.scale[g] = scan_symmetric<16, IntegerGrid<4>>(s.x[g], s.w[g], splat(-4.f), -4.f, 0.1f, 9);
        const Floats sum = s.weight(g);
        for (int k = 0; k < kLanes; k++)
          scales[g * kLanes + k] = splat(s.scale[g][k]), heavy[g * kLanes + k] = splat(sum[k]);
      }
      unit = scan_symmetric<16, IntegerGrid<32>>(scales, heavy, splat(-32.f), -32.f, 0.1f, 9)[0];
    } else {
      for (int g = 0; g < s.groups; g++) s.scale[g] = scan_by_coordinates<16>(s.x[g], s.w[g]);
      unit = extreme_of(s.scale) / -32;
    }
    y[b].d = to_half(unit);
    if (is_infinite(y[b].d)) return b;
    for (int g = 0; g < s.groups; g++)
      settle_symmetric<16, 32, IntegerGrid<4>>(s.x[g], s.w[g], half_to_float(y[b].d), s.scale[g]);
    write_symmetric(s, y[b]);
  }
  return -1;
}

static int64_t encode_q6_k(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  auto* y = reinterpret_cast<block_q6_k*>(out);
  for (int64_t b = 0; b < blocks; b++, x += kSuper, importance += importance ? kSuper : 0) {
    Super<16> s;
    s.load(x, importance, -1.f, Weight::square);
    for (int g = 0; g < s.groups; g++)
      s.scale[g] = scan_symmetric<16, IntegerGrid<32>>(s.x[g], s.w[g], splat(-32.f), -32.f, 0.1f, 9);
    y[b].d = to_half(extreme_of(s.scale) / -128);
    if (is_infinite(y[b].d)) return b;
    for (int g = 0; g < s.groups; g++)
      settle_symmetric<16, 128, IntegerGrid<32>>(s.x[g], s.w[g], half_to_float(y[b].d), s.scale[g]);
    write_symmetric(s, y[b]);
  }
  return -1;
}
