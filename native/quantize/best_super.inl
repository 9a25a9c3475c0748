// Method search for Q2_K to Q6_K and IQ4_XS: chooses the superblock's scale (and min) together with the small integers
// that multiply it. It tries several superblock scales, each with the integers whose codes have the least error, then
// refits the best one to its codes by least squares for as long as that helps.

// A lane's error, summed in the order of the sub-blocks whatever the number of lanes.
template <int Count>
BITWRIGHT_INLINE float total_of(const Floats (&values)[Count]) {
  float total = 0.f;
  for (const Floats& v : values)
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

constexpr int kTrials = 8, kRefits = 4;  // trials differ in the integer of the largest sub-scale

// The integer -Limit..Limit-1 near one of two wanted scales with the least error, and that error.
template <int N, int Limit, class Grid>
BITWRIGHT_INLINE Floats place_symmetric(const Floats* x, const Floats* w, float super_scale, Floats& scale,
                                        Floats other) {
  const Floats inverse_super_scale = reciprocal(splat(super_scale)), wanted = scale;
  Floats best = splat(INFINITY);
  for (int trial = 0; trial < 4; trial++) {
    const float delta = trial == 1 ? -1.f : trial == 2 ? 1.f : 0.f;
    const Floats candidate =
        clamp(round_even((trial == 3 ? other : wanted) * inverse_super_scale) + delta, -Limit, Limit - 1);
    const Floats s = super_scale * candidate, inverse = reciprocal(s);
    Floats error{};
    for (int i = 0; i < N; i++) {
      const Floats miss = s * Grid::nearest(inverse * x[i]) - x[i];
      error += w[i] * (miss * miss);
    }
    const Ints better = error < best;
    best = select(better, error, best);
    scale = select(better, candidate, scale);
  }
  return best;
}

template <int N, class Grid>
BITWRIGHT_INLINE float refit_super(const Super<N>& s, float super_scale) {
  double sum_lx = 0, sum_ll = 0;
  for (int g = 0; g < s.groups; g++) {
    Floats scale, gain, ll;
    refit_symmetric<N, Grid>(s.x[g], s.w[g], reciprocal(super_scale * s.scale[g]), scale, gain, ll);
    for (int k = 0; k < kLanes; k++) {
      sum_lx += static_cast<double>(s.scale[g][k]) * scale[k] * ll[k];
      sum_ll += static_cast<double>(s.scale[g][k]) * s.scale[g][k] * ll[k];
    }
  }
  return sum_ll > 0 ? static_cast<float>(sum_lx / sum_ll) : 0.f;
}

// On return s holds codes and integers. False when the superblock's scale is out of float16's range.
template <int N, int Limit, class Grid>
BITWRIGHT_INLINE bool search_super(Super<N>& s, half_t& super_scale) {
  Floats scale[Super<N>::groups], other[Super<N>::groups], error[Super<N>::groups];
  for (int g = 0; g < s.groups; g++) scale[g] = best_symmetric<N, Grid>(s.x[g], s.w[g], kStretch<Grid>, other[g]);
  const float extreme = extreme_of(scale);
  super_scale = to_half(extreme / -Limit);
  if (is_infinite(super_scale)) return false;
  float best = INFINITY;
  for (int trial = 0; trial < 2 * kTrials + kRefits; trial++) {
    const float fitted = trial < kTrials       ? extreme / (trial - Limit)
                         : trial < 2 * kTrials ? extreme / (Limit - 1 - (trial - kTrials))
                                               : refit_super<N, Grid>(s, half_to_float(super_scale));
    const half_t try_scale = to_half(fitted);
    if (is_infinite(try_scale)) continue;
    Floats placed[Super<N>::groups];
    for (int g = 0; g < s.groups; g++) {
      if (trial >= 2 * kTrials) scale[g] = other[g] = fitted * s.scale[g];
      placed[g] = scale[g];
      error[g] = place_symmetric<N, Limit, Grid>(s.x[g], s.w[g], half_to_float(try_scale), placed[g], other[g]);
    }
    const float total = total_of(error);
    if (total < best) {
      best = total;
      super_scale = try_scale;
      std::copy(placed, placed + s.groups, s.scale);
    } else if (trial >= 2 * kTrials) {
      break;
    }
  }
  for (int g = 0; g < s.groups; g++) {
    const Floats inverse = reciprocal(half_to_float(super_scale) * s.scale[g]);
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
