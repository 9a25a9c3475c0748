// Method search for superblocks with mins: Q2_K Q4_K Q5_K. Like best_super.inl, with scale and min chosen together.

// The integers 0..Limit near the wanted scale and min with the least error, and that error.
template <int N, int Top, int Limit>
BITWRIGHT_INLINE Floats place_asymmetric(const Floats* x, const Floats* w, float super_scale, float super_min,
                                         Floats& scale, Floats& low) {
  const Floats inverse_super_min = reciprocal(splat(super_min));
  const Floats rounded = clamp(round_even(scale * reciprocal(splat(super_scale))), 0.f, Limit);
  const Floats rounded_low = clamp(round_even(-low * inverse_super_min), 0.f, Limit);
  Floats best = splat(INFINITY), code[N], sum_w{}, sum_x{};
  scale = rounded;
  low = rounded_low;
  for (int i = 0; i < N; i++) {
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  const Floats inverse_w = reciprocal(sum_w);
  for (int delta : {0, -1, 1}) {
    const Floats candidate = clamp(rounded + static_cast<float>(delta), 0.f, Limit), s = super_scale * candidate,
                 inverse = reciprocal(s);
    Floats candidate_low = rounded_low;
    for (int pass = 0; pass < 3; pass++) {
      const Floats m = -super_min * candidate_low;
      Floats sum_l{};
      for (int i = 0; i < N; i++) {
        code[i] = asymmetric_code(x[i], inverse, m, Top);
        sum_l += w[i] * code[i];
      }
      const Floats error = fit_error<N, false>(x, w, code, s, m);
      const Ints better = error < best;
      best = select(better, error, best);
      scale = select(better, candidate, scale);
      low = select(better, candidate_low, low);
      const Floats fitted = clamp(round_even((s * sum_l - sum_x) * inverse_w * inverse_super_min), 0.f, Limit);
      if (!any(fitted != candidate_low)) break;
      candidate_low = fitted;
    }
  }
  return best;
}

// The super_scale and super_min with the least squared error for the codes that the current ones and the sub-blocks'
// integers give.
template <int N, int Top>
BITWRIGHT_INLINE void refit_super(const Super<N>& s, float& super_scale, float& super_min) {
  double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;  // a: what multiplies super_scale, b: super_min
  for (int g = 0; g < s.groups; g++) {
    const Floats inverse = reciprocal(super_scale * s.scale[g]), m = -super_min * s.low[g];
    Floats sum_w{}, sum_x{}, sum_l{}, sum_ll{}, sum_lx{};
    for (int i = 0; i < N; i++) {
      const Floats l = asymmetric_code(s.x[g][i], inverse, m, Top), wl = s.w[g][i] * l;
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
    super_scale = static_cast<float>((ax * bb - ab * bx) / determinant);
    super_min = static_cast<float>((ab * ax - aa * bx) / determinant);
  } else if (aa > 0) {
    super_scale = static_cast<float>((ax + ab * super_min) / aa);
  }
}

// On return s holds codes and integers. False when a superblock scale is out of float16's range.
template <int N, int Top, int Limit>
BITWRIGHT_INLINE bool search_super(Super<N>& s, half_t& super_scale, half_t& super_min) {
  Floats scale[Super<N>::groups], low[Super<N>::groups], depth[Super<N>::groups], error[Super<N>::groups];
  for (int g = 0; g < s.groups; g++) {
    best_asymmetric<N, Top, false>(s.x[g], s.w[g], scale[g], low[g]);
    depth[g] = -low[g];
  }
  const float most = largest_of(scale), deepest = largest_of(depth);
  super_scale = to_half(most / Limit);
  super_min = to_half(deepest / Limit);
  if (is_infinite(super_scale) || is_infinite(super_min)) return false;
  float best = INFINITY;
  for (int trial = 0; trial < 2 * kTrials + kRefits; trial++) {
    half_t try_scale = super_scale, try_min = super_min;
    if (trial < kTrials) {
      try_scale = to_half(most / (Limit + 1 - trial));
    } else if (trial < 2 * kTrials) {
      try_min = to_half(deepest / (Limit + 1 - (trial - kTrials)));
    } else {
      float fitted = half_to_float(super_scale), fitted_min = half_to_float(super_min);
      refit_super<N, Top>(s, fitted, fitted_min);
      if (!(fitted > 0.f) || !(fitted_min >= 0.f)) break;
      try_scale = to_half(fitted);
      try_min = to_half(fitted_min);
      for (int g = 0; g < s.groups; g++) {  // from here on, search near the integers found
        scale[g] = fitted * s.scale[g];
        low[g] = -fitted_min * s.low[g];
      }
    }
    if (is_infinite(try_scale) || is_infinite(try_min)) continue;
    Floats placed[Super<N>::groups], placed_low[Super<N>::groups];
    for (int g = 0; g < s.groups; g++) {
      placed[g] = scale[g];
      placed_low[g] = low[g];
      error[g] = place_asymmetric<N, Top, Limit>(s.x[g], s.w[g], half_to_float(try_scale), half_to_float(try_min),
                                                 placed[g], placed_low[g]);
    }
    const float total = total_of(error);
    if (total < best) {
      best = total;
      super_scale = try_scale;
      super_min = try_min;
      std::copy(placed, placed + s.groups, s.scale);
      std::copy(placed_low, placed_low + s.groups, s.low);
    } else if (trial >= 2 * kTrials) {
      break;
    }
  }
  for (int g = 0; g < s.groups; g++) {
    const Floats inverse = reciprocal(half_to_float(super_scale) * s.scale[g]),
                 m = -half_to_float(super_min) * s.low[g];
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
