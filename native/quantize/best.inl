// The scale (and min) of kLanes blocks with the least weighted squared error.
//
// The best scale is a fixed point: its codes are the nearest ones, and no other scale fits these codes better. So a scan
// whose steps are finer than the distance between changes of codes, each start refitted to its codes, finds the best
// scale or one close to it. The scan is wide, because outermost values with little weight are best clipped, and it tries
// both ends of the grid for them.

// ---- symmetric: x ~ scale * grid value ----

template <int Most>
struct EvenGrid {  // -Most .. Most, stored as such, or from 0 in ternary formats
  static constexpr float low = -Most, high = Most;
  BITWRIGHT_INLINE Floats nearest(Floats v) { return clamp(round_even(v), -Most, Most); }
  BITWRIGHT_INLINE Floats code(Floats v) { return nearest(v) + (Most == 1 ? 1.f : 0.f); }
};

// The scan puts the outermost value at `first`, `first * ratio`, ... times the end of the grid, then refines around the
// best.
struct Stretch {
  float first, ratio;
  int steps, fine;
};

// The usual scan of a grid's scale.
template <class Grid> constexpr Stretch kStretch{0.85f, 1.05f, 20, 3};
template <> constexpr Stretch kStretch<IntegerGrid<4>>{0.75f, 1.06f, 22, 3};
template <> constexpr Stretch kStretch<IntegerGrid<16>>{0.92f, 1.03f, 24, 3};
template <> constexpr Stretch kStretch<IntegerGrid<32>>{0.96f, 1.012f, 20, 3};
template <> constexpr Stretch kStretch<EvenGrid<127>>{0.99f, 1.0025f, 16, 4};
template <> constexpr Stretch kStretch<TwoBitGrid>{0.7f, 1.06f, 22, 3};
template <> constexpr Stretch kStretch<SignGrid>{1.f, 1.f, 1, 0};  // the codes do not depend on it

template <int N, class Grid>
BITWRIGHT_INLINE void refit_symmetric(const Floats* x, const Floats* w, Floats inverse, Floats& scale, Floats& gain,
                                      Floats& sum_ll) {
  Floats sum_lx{};
  sum_ll = Floats{};
  for (int i = 0; i < N; i++) {
    const Floats l = Grid::nearest(inverse * x[i]), wl = w[i] * l;
    sum_lx += wl * x[i];
    sum_ll += wl * l;
  }
  scale = sum_lx * reciprocal(sum_ll);
  gain = scale * sum_lx;  // how much these codes reduce the squared error
}

// The best scale; `other` receives the best one with the outermost value at the grid's other end.
template <int N, class Grid>
BITWRIGHT_INLINE Floats best_symmetric(const Floats* x, const Floats* w, Stretch stretch, Floats& other) {
  const Floats extreme = signed_extreme<N>(x), unit = reciprocal(extreme);
  const int around = 2 * stretch.fine, refits = 2;
  Floats found[2], gains[2];
  for (int side = 0; side < 2; side++) {
    const float end = side ? Grid::high : Grid::low;
    float at = end * stretch.first;
    Floats start = unit;
    found[side] = extreme / end;
    gains[side] = Floats{};
    for (int step = 0; step < stretch.steps + around + refits; step++) {
      const int near = step - stretch.steps;
      if (near == 0 || near >= around) start = reciprocal(found[side]);
      if (near >= 0) {  // from a step below the best to a step above, except the best itself
        const int offset = near - stretch.fine + (near >= stretch.fine);
        at = near >= around
                 ? 1.f
                 : 1.f + (stretch.ratio - 1.f) * static_cast<float>(offset) / static_cast<float>(stretch.fine + 1);
      }
      Floats scale, gain, sum_ll;
      refit_symmetric<N, Grid>(x, w, at * start, scale, gain, sum_ll);
      const Ints better = gain > gains[side];
      gains[side] = select(better, gain, gains[side]);
      found[side] = select(better, scale, found[side]);
      at *= stretch.ratio;
    }
  }
  const Ints second = gains[1] > gains[0];
  other = select(second, found[0], found[1]);
  return select(second, found[1], found[0]);
}

// ---- asymmetric: x ~ scale * code + low, code in 0..Top; low is never positive unless Free ----

constexpr float kCuts[] = {-0.04f, 0.f, 0.04f, 0.09f, 0.15f, 0.22f, 0.32f};  // as shares of the range, at either end
constexpr float kNear[] = {0.f, -0.03f, 0.03f, -0.015f, 0.015f, 0.f, 0.f};  // relative changes of the best scale so far

template <int N, int Top, bool Free>
BITWRIGHT_INLINE void best_asymmetric(const Floats* x, const Floats* w, Floats& scale, Floats& low) {
  Floats least = x[0], most = x[0], sum_w{}, sum_x{}, sum_xx{}, code[N];
  for (int i = 0; i < N; i++) {
    least = min(x[i], least);
    most = max(x[i], most);
    sum_w += w[i];
    sum_x += w[i] * x[i];
    sum_xx += w[i] * x[i] * x[i];
  }
  const Floats start = Free ? least : min(least, Floats{}), range = most - start;
  const Floats negligible = 1e-10f * sum_xx;  // of two exact fits the first is kept, whose min is an end
  low = start;
  scale = range / static_cast<float>(Top);
  Floats best = splat(INFINITY);
  constexpr int whole = 3, cuts = std::size(kCuts), trials = whole + cuts * cuts + std::size(kNear);
  for (int trial = 0; trial < trials; trial++) {
    Floats from = start, inverse;
    if (trial < whole) {  // already rounded values may leave the topmost codes unused
      inverse = static_cast<float>(Top - trial) * reciprocal(range);
    } else if (const int cut = trial - whole; cut < cuts * cuts) {
      from = start + kCuts[cut / cuts] * range;
      inverse = static_cast<float>(Top) * reciprocal((1.f - kCuts[cut / cuts] - kCuts[cut % cuts]) * range);
    } else {
      from = low;
      inverse = (1.f + kNear[cut - cuts * cuts]) * reciprocal(scale);
    }
    Floats sum_l{}, sum_ll{}, sum_lx{};
    for (int i = 0; i < N; i++) {
      code[i] = asymmetric_code(x[i], inverse, from, Top);
      const Floats wl = w[i] * code[i];
      sum_l += wl;
      sum_ll += wl * code[i];
      sum_lx += wl * x[i];
    }
    const Floats determinant = reciprocal(sum_w * sum_ll - sum_l * sum_l);
    Floats s = (sum_w * sum_lx - sum_x * sum_l) * determinant, m = (sum_ll * sum_x - sum_l * sum_lx) * determinant;
    if (!Free) {
      const Ints positive = m > 0.f;
      s = select(positive, sum_lx * reciprocal(sum_ll), s);
      m = select(positive, Floats{}, m);
    }
    Floats error = fit_error<N / 2, false>(x, w, code, s, m);
    if (!any(error + negligible < best)) continue;
    error = fit_error<N / 2, false>(x + N / 2, w + N / 2, code + N / 2, s, m, error);
    const Ints better = (determinant > 0.f) & (error + negligible < best);
    best = select(better, error, best);
    scale = select(better, s, scale);
    low = select(better, m, low);
  }
}
