// Method search for Q2_K to Q6_K and IQ4_XS: the superblock's scale (and min) and the small integers that multiply it are chosen
// together. Several superblock scales are tried, each with the integers whose codes lose least; the best is then refitted to its
// codes by least squares, as long as that still helps.

// A lane's error, in the order of the sub-blocks whatever the number of lanes.
template <int Count>
BITWRIGHT_INLINE float total_of(const floats (&values)[Count]) {
  float total = 0.f;
  for (const floats& v : values)
    for (int k = 0; k < kLanes; k++) total += v[k];
  return total;
}

template <int N>
BITWRIGHT_INLINE void load_super(Super<N>& s, const float* values, const float* importance) {
  for (int g = 0; g < s.groups; g++) {
    load_lanes<N>(values + g * N * kLanes, kLanes, s.x[g]);
    load_weights<N>(importance ? importance + g * N * kLanes : nullptr, kLanes, s.w[g]);
  }
}

// ---- asymmetric ----

// The integers 0..Limit near the wanted scale and min that lose least, and what they lose.
template <int N, int Top, int Limit>
BITWRIGHT_INLINE floats place_asymmetric(const floats* x, const floats* w, float d, float dmin, floats& scale,
                                         floats& low) {
  const floats inverse_dmin = reciprocal(splat(dmin));
  const floats rounded = clamp(round_even(scale * reciprocal(splat(d))), 0.f, Limit);
  const floats rounded_low = clamp(round_even(-low * inverse_dmin), 0.f, Limit);
  floats best = splat(INFINITY), code[N], sum_w{}, sum_x{};
  scale = rounded;
  low = rounded_low;
  for (int i = 0; i < N; i++) {
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  const floats inverse_w = reciprocal(sum_w);
  for (int delta : {0, -1, 1}) {
    const floats candidate = clamp(rounded + static_cast<float>(delta), 0.f, Limit), s = d * candidate,
                 inverse = reciprocal(s);
    floats candidate_low = rounded_low;
    for (int pass = 0; pass < 3; pass++) {
      const floats m = -dmin * candidate_low;
      floats sum_l{};
      for (int i = 0; i < N; i++) {
        code[i] = asymmetric_code(x[i], inverse, m, Top);
        sum_l += w[i] * code[i];
      }
      const floats error = fit_error<N, false>(x, w, code, s, m);
      const ints better = error < best;
      best = select(better, error, best);
      scale = select(better, candidate, scale);
      low = select(better, candidate_low, low);
      const floats fitted = clamp(round_even((s * sum_l - sum_x) * inverse_w * inverse_dmin), 0.f, Limit);
      if (!any(fitted != candidate_low)) break;
      candidate_low = fitted;
    }
  }
  return best;
}

// d and dmin of least squared error for the codes that the present ones and the sub-blocks' integers lead to.
template <int N, int Top>
BITWRIGHT_INLINE void refit_super(const Super<N>& s, float& d, float& dmin) {
  double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;  // a: what multiplies d, b: dmin
  for (int g = 0; g < s.groups; g++) {
    const floats inverse = reciprocal(d * s.scale[g]), m = -dmin * s.low[g];
    floats sum_w{}, sum_x{}, sum_l{}, sum_ll{}, sum_lx{};
    for (int i = 0; i < N; i++) {
      const floats l = asymmetric_code(s.x[g][i], inverse, m, Top), wl = s.w[g][i] * l;
      sum_w += s.w[g][i];
      sum_x += s.w[g][i] * s.x[g][i];
      sum_l += wl;
      sum_ll += wl * l;
      sum_lx += wl * s.x[g][i];
    }
    for (int k = 0; k < kLanes; k++) {
      const double a = s.scale[g][k], b = s.low[g][k];
      aa += a * a * sum_ll[k];
      ab += a * b * sum_l[k];
      bb += b * b * sum_w[k];
      ax += a * sum_lx[k];
      bx += b * sum_x[k];
    }
  }
  const double determinant = aa * bb - ab * ab;
  if (determinant > 1e-9 * aa * bb) {
    d = static_cast<float>((ax * bb - ab * bx) / determinant);
    dmin = static_cast<float>((ab * ax - aa * bx) / determinant);
  } else if (aa > 0) {
    d = static_cast<float>((ax + ab * dmin) / aa);
  }
}

constexpr int kTrials = 8, kRefits = 4;  // superblock scales tried, by the integer that the largest sub-scale gets

// On return s holds codes and integers. False when a superblock scale is out of float16's range.
template <int N, int Top, int Limit>
BITWRIGHT_INLINE bool search_super(Super<N>& s, half_t& d, half_t& dmin) {
  floats scale[Super<N>::groups], low[Super<N>::groups], depth[Super<N>::groups], error[Super<N>::groups];
  for (int g = 0; g < s.groups; g++) {
    best_asymmetric<N, Top, false>(s.x[g], s.w[g], scale[g], low[g]);
    depth[g] = -low[g];
  }
  const float most = largest_of(scale), deepest = largest_of(depth);
  d = to_half(most / Limit);
  dmin = to_half(deepest / Limit);
  if (is_infinite(d) || is_infinite(dmin)) return false;
  float best = INFINITY;
  for (int trial = 0; trial < 2 * kTrials + kRefits; trial++) {
    half_t try_d = d, try_dmin = dmin;
    if (trial < kTrials) {
      try_d = to_half(most / (Limit + 1 - trial));
    } else if (trial < 2 * kTrials) {
      try_dmin = to_half(deepest / (Limit + 1 - (trial - kTrials)));
    } else {
      float fitted = from_half(d), fitted_min = from_half(dmin);
      refit_super<N, Top>(s, fitted, fitted_min);
      if (!(fitted > 0.f) || !(fitted_min >= 0.f)) break;
      try_d = to_half(fitted);
      try_dmin = to_half(fitted_min);
      for (int g = 0; g < s.groups; g++) {  // from here on, near the integers found
        scale[g] = fitted * s.scale[g];
        low[g] = -fitted_min * s.low[g];
      }
    }
    if (is_infinite(try_d) || is_infinite(try_dmin)) continue;
    floats placed[Super<N>::groups], placed_low[Super<N>::groups];
    for (int g = 0; g < s.groups; g++) {
      placed[g] = scale[g];
      placed_low[g] = low[g];
      error[g] = place_asymmetric<N, Top, Limit>(s.x[g], s.w[g], from_half(try_d), from_half(try_dmin), placed[g],
                                                 placed_low[g]);
    }
    const float total = total_of(error);
    if (total < best) {
      best = total;
      d = try_d;
      dmin = try_dmin;
      std::copy(placed, placed + s.groups, s.scale);
      std::copy(placed_low, placed_low + s.groups, s.low);
    } else if (trial >= 2 * kTrials) {
      break;
    }
  }
  for (int g = 0; g < s.groups; g++) {
    const floats inverse = reciprocal(from_half(d) * s.scale[g]), m = -from_half(dmin) * s.low[g];
    for (int i = 0; i < N; i++) s.x[g][i] = asymmetric_code(s.x[g][i], inverse, m, Top);
  }
  return true;
}

template <class Block, int N, int Top, int Limit>
BITWRIGHT_INLINE int64_t search_asymmetric_k(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  auto* y = reinterpret_cast<Block*>(out);
  for (int64_t b = 0; b < blocks; b++, x += kSuper, importance += importance ? kSuper : 0) {
    Super<N> s;
    load_super(s, x, importance);
    if (!search_super<N, Top, Limit>(s, y[b].d, y[b].dmin)) return b;
    write(s, y[b]);
  }
  return -1;
}

static int64_t search_q2_k(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_asymmetric_k<block_q2_k, 16, 3, 15>(x, importance, blocks, out);
}
static int64_t search_q4_k(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_asymmetric_k<block_q4_k, 32, 15, 63>(x, importance, blocks, out);
}
static int64_t search_q5_k(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_asymmetric_k<block_q5_k, 32, 31, 63>(x, importance, blocks, out);
}

// ---- symmetric ----

// The integer -Limit..Limit-1 near one of two wanted scales that loses least, and what it loses.
template <int N, int Limit, class Grid>
BITWRIGHT_INLINE floats place_symmetric(const floats* x, const floats* w, float d, floats& scale, floats other) {
  const floats inverse_d = reciprocal(splat(d)), wanted = scale;
  floats best = splat(INFINITY);
  for (int trial = 0; trial < 4; trial++) {
    const float delta = trial == 1 ? -1.f : trial == 2 ? 1.f : 0.f;
    const floats candidate = clamp(round_even((trial == 3 ? other : wanted) * inverse_d) + delta, -Limit, Limit - 1);
    const floats s = d * candidate, inverse = reciprocal(s);
    floats error{};
    for (int i = 0; i < N; i++) {
      const floats miss = s * Grid::nearest(inverse * x[i]) - x[i];
      error += w[i] * (miss * miss);
    }
    const ints better = error < best;
    best = select(better, error, best);
    scale = select(better, candidate, scale);
  }
  return best;
}

template <int N, class Grid>
BITWRIGHT_INLINE float refit_super(const Super<N>& s, float d) {
  double sum_lx = 0, sum_ll = 0;
  for (int g = 0; g < s.groups; g++) {
    floats scale, gain, ll;
    refit_symmetric<N, Grid>(s.x[g], s.w[g], reciprocal(d * s.scale[g]), scale, gain, ll);
    for (int k = 0; k < kLanes; k++) {
      sum_lx += static_cast<double>(s.scale[g][k]) * scale[k] * ll[k];
      sum_ll += static_cast<double>(s.scale[g][k]) * s.scale[g][k] * ll[k];
    }
  }
  return sum_ll > 0 ? static_cast<float>(sum_lx / sum_ll) : 0.f;
}

// On return s holds codes and integers. False when the superblock's scale is out of float16's range.
template <int N, int Limit, class Grid>
BITWRIGHT_INLINE bool search_super(Super<N>& s, half_t& d) {
  floats scale[Super<N>::groups], other[Super<N>::groups], error[Super<N>::groups];
  for (int g = 0; g < s.groups; g++) scale[g] = best_symmetric<N, Grid>(s.x[g], s.w[g], kStretch<Grid>, other[g]);
  const float extreme = extreme_of(scale);
  d = to_half(extreme / -Limit);
  if (is_infinite(d)) return false;
  float best = INFINITY;
  for (int trial = 0; trial < 2 * kTrials + kRefits; trial++) {
    const float fitted = trial < kTrials       ? extreme / (trial - Limit)
                         : trial < 2 * kTrials ? extreme / (Limit - 1 - (trial - kTrials))
                                               : refit_super<N, Grid>(s, from_half(d));
    const half_t try_d = to_half(fitted);
    if (is_infinite(try_d)) continue;
    floats placed[Super<N>::groups];
    for (int g = 0; g < s.groups; g++) {
      if (trial >= 2 * kTrials) scale[g] = other[g] = fitted * s.scale[g];
      placed[g] = scale[g];
      error[g] = place_symmetric<N, Limit, Grid>(s.x[g], s.w[g], from_half(try_d), placed[g], other[g]);
    }
    const float total = total_of(error);
    if (total < best) {
      best = total;
      d = try_d;
      std::copy(placed, placed + s.groups, s.scale);
    } else if (trial >= 2 * kTrials) {
      break;
    }
  }
  for (int g = 0; g < s.groups; g++) {
    const floats inverse = reciprocal(from_half(d) * s.scale[g]);
    for (int i = 0; i < N; i++) s.x[g][i] = Grid::code(inverse * s.x[g][i]);
  }
  return true;
}

template <class Block, int N, int Limit, class Grid>
BITWRIGHT_INLINE int64_t search_symmetric_k(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  auto* y = reinterpret_cast<Block*>(out);
  for (int64_t b = 0; b < blocks; b++, x += kSuper, importance += importance ? kSuper : 0) {
    Super<N> s;
    load_super(s, x, importance);
    if (!search_super<N, Limit, Grid>(s, y[b].d)) return b;
    write_symmetric(s, y[b]);
  }
  return -1;
}

static int64_t search_q3_k(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_symmetric_k<block_q3_k, 16, 32, IntegerGrid<4>>(x, importance, blocks, out);
}
static int64_t search_q6_k(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_symmetric_k<block_q6_k, 16, 128, IntegerGrid<32>>(x, importance, blocks, out);
}
static int64_t search_iq4_xs(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_symmetric_k<block_iq4_xs, 32, 32, Iq4Grid>(x, importance, blocks, out);
}
