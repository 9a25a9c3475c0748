// Method search for IQ3_S to IQ1_M: the scale of a superblock, and the odd multiple 2 s + 1 of it for each sub-block.

template <int N, int Dim>
BITWRIGHT_INLINE void refit_points(const Floats* x, const Floats* w, const Points<N, Dim>& points, Floats& sum_lx,
                                   Floats& sum_ll) {
  sum_lx = sum_ll = Floats{};
  for (int i = 0; i < N; i++) {
    const Floats wl = w[i] * points.code[i];
    sum_lx += wl * x[i];
    sum_ll += wl * points.code[i];
  }
}

constexpr int kScales = 12, kScaleRefits = 2, kPlacements = 3;

// The scale of kLanes sub-blocks that fits best, and how much a change of it costs.
template <class Grid>
BITWRIGHT_INLINE void best_grid_scale(const Grid& grid, const Floats* x, const Floats* w, Floats& scale,
                                      Floats& curvature) {
  const Floats unit = abs(signed_extreme<Grid::N>(x)) / grid.largest();
  Floats best = Floats{};
  scale = unit;
  curvature = Floats{};
  Points<Grid::N, Grid::Dim> points = {};
  for (int trial = 0; trial < kScales + kScaleRefits; trial++) {
    const float at =
        Grid::first + (Grid::last - Grid::first) * static_cast<float>(trial) / static_cast<float>(kScales - 1);
    grid.choose(x, w, trial < kScales ? at * unit : scale, points);
    Floats sum_lx, sum_ll;
    refit_points(x, w, points, sum_lx, sum_ll);
    const Floats fitted = sum_lx * reciprocal(sum_ll), gain = fitted * sum_lx;
    const Ints better = (gain > best) & (fitted > 0.f);
    best = select(better, gain, best);
    scale = select(better, fitted, scale);
    curvature = select(better, sum_ll, curvature);
  }
}

// The unit u whose odd multiples u (2 s + 1), s in 0..limit, are nearest to the wanted scales.
BITWRIGHT_INLINE float best_unit(const float* wanted, const float* curvature, int count, int limit) {
  float most = 0.f;
  for (int j = 0; j < count; j++) most = std::max(most, wanted[j]);
  double best = INFINITY, unit = most / (2 * limit + 1);
  for (int step = 0; step < 2 * limit && most > 0.f; step++) {
    const double trial = 2.0 * most / (2 * (2 * limit + 1) + 2 - step);
    double ow = 0, oo = 0, ww = 0;
    for (int j = 0; j < count; j++) {
      const double odd = 2 * std::clamp(std::rint((wanted[j] / trial - 1) / 2), 0.0, static_cast<double>(limit)) + 1;
      ow += curvature[j] * odd * wanted[j];
      oo += curvature[j] * odd * odd;
      ww += static_cast<double>(curvature[j]) * wanted[j] * wanted[j];
    }
    if (oo > 0 && ww - ow * ow / oo < best) {
      best = ww - ow * ow / oo;
      unit = ow / oo;
    }
  }
  return static_cast<float>(unit);
}

// Chooses a superblock's points and sub-scales: on return s.x holds signed codes, s.scale the integers, and `index` the
// indices of the points.
template <class Grid, int Count = kSuper / Grid::N / kLanes>
BITWRIGHT_INLINE bool search_grid(const Grid& grid, Super<Grid::N>& s, half_t& super_scale,
                                  Ints (&index)[Count][Grid::N / Grid::Dim]) {
  constexpr int N = Grid::N, Dim = Grid::Dim;
  Floats scale[Count], curvature[Count];
  for (int g = 0; g < Count; g++) best_grid_scale(grid, s.x[g], s.w[g], scale[g], curvature[g]);
  float wanted[kSuper / N], curvatures[kSuper / N];
  std::memcpy(wanted, scale, sizeof wanted);
  std::memcpy(curvatures, curvature, sizeof curvatures);
  float unit = best_unit(wanted, curvatures, kSuper / N, Grid::Limit), best = INFINITY;
  super_scale = to_half(unit * Grid::Divisor);
  if (is_infinite(super_scale)) return false;
  Floats code[Count][N] = {};
  for (int placement = 0; placement < kPlacements; placement++) {
    const half_t try_scale = to_half(unit * Grid::Divisor);
    if (is_infinite(try_scale)) break;
    const float u = half_to_float(try_scale) / Grid::Divisor;
    const Floats inverse = reciprocal(splat(u));
    Points<N, Dim> points[Count] = {};
    Floats lost[Count], placed[Count] = {};
    double ox = 0, oo = 0;
    for (int g = 0; g < Count; g++) {
      const Floats rounded = round_even((scale[g] * inverse - 1.f) * 0.5f);
      lost[g] = splat(INFINITY);
      for (int trial = 0; trial < (placement ? 1 : 3); trial++) {
        const float delta = trial == 1 ? -1.f : trial == 2 ? 1.f : 0.f;
        const Floats candidate = clamp(rounded + delta, 0.f, Grid::Limit);
        Points<N, Dim> tried = {};
        const Floats error = grid.choose(s.x[g], s.w[g], u * (2.f * candidate + 1.f), tried);
        const Ints better = error < lost[g];
        lost[g] = select(better, error, lost[g]);
        placed[g] = select(better, candidate, placed[g]);
        for (int i = 0; i < N; i++) points[g].code[i] = select(better, tried.code[i], points[g].code[i]);
        for (int t = 0; t < N / Dim; t++)
          points[g].index[t] = (better & tried.index[t]) | (~better & points[g].index[t]);
      }
      Floats sum_lx, sum_ll;
      refit_points(s.x[g], s.w[g], points[g], sum_lx, sum_ll);
      const Floats odd = 2.f * placed[g] + 1.f;
      for (int k = 0; k < kLanes; k++) {
        ox += static_cast<double>(odd[k]) * sum_lx[k];
        oo += static_cast<double>(odd[k]) * odd[k] * sum_ll[k];
      }
    }
    const float total = total_of(lost);
    if (!(total < best)) break;
    best = total;
    super_scale = try_scale;
    for (int g = 0; g < Count; g++) {
      s.scale[g] = placed[g];
      std::copy(points[g].code, points[g].code + N, code[g]);
      std::copy(points[g].index, points[g].index + N / Dim, index[g]);
    }
    if (!(oo > 0) || !(ox > 0)) break;
    unit = static_cast<float>(ox / oo);
    for (int g = 0; g < Count; g++) scale[g] = unit * (2.f * s.scale[g] + 1.f);
  }
  for (int g = 0; g < Count; g++) std::copy(code[g], code[g] + N, s.x[g]);
  return true;
}
