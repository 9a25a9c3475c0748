// Coordinate descent on the codes and scales that feedback chose (feedback.inl). pull_ is E H of the unit's columns:
// half of the rate at which the objective falls as a decoded weight rises.

template <class P>
void Tile<P>::descend(int64_t begin) {
  std::memset(pull_, 0, P::unit * kRows * sizeof(float));
  accumulate(pull_, kRows, error_, layer_.hessian + begin * n_, n_, P::unit, n_);
  for (int from = 0; from < P::unit; from += kTogether) {
    Moved moved[kVectors];
    for (int j = from; j < from + kTogether; j += P::step)
      for (int v = 0; v < kVectors; v++) recode(begin, from, j, v, moved[v]);
    for (int v = 0; v < kVectors; v++) pass_on(begin, v, moved[v], from, from + kTogether);
  }
  for (int g = 0; g < P::groups; g++) rescale(begin, g);
  if (P::integers) rescale_unit(begin);
}

// Adds to the pull what the moves in first_ of some columns do to all columns of the unit but those from `from` to `to`.
// Most vectors of rows have few moves.
template <class P>
inline BITWRIGHT_FORCE void Tile<P>::pass_on(int64_t begin, int v, const Moved& moved, int from, int to) {
  constexpr int Few = 8;
  for (int c = 0; c < P::unit; c += Few) {
    if (c >= from && c < to) continue;
    Floats pull[Few];
    for (int i = 0; i < Few; i++) pull[i] = get(pull_, c + i, v);
    for (int m = 0; m < moved.count; m++) {
      const Floats move = get(first_, moved.column[m], v);
      const float* row = layer_.hessian + (begin + moved.column[m]) * n_ + begin + c;
      for (int i = 0; i < Few; i++) pull[i] += move * row[i];
    }
    for (int i = 0; i < Few; i++) put(pull_, c + i, v, pull[i]);
  }
}

// Moves each code from column `begin + j` on to the one nearest to its optimum while all others stay fixed. Updates the
// pull of the kTogether columns from `from`, and leaves the moves in first_ and their columns in `moved`.
template <class P>
inline BITWRIGHT_FORCE void Tile<P>::recode(int64_t begin, int from, int j, int v, Moved& moved) {
  constexpr int S = P::step;
  const int64_t column = begin + j;
  const float *h = layer_.hessian + column * n_ + column, *inverse = &inner_.inverse[column * S];
  const Floats scale = get(unit_scale_, begin / P::unit, v) * get(scale_, column / P::N, v);
  const Floats low = -get(unit_min_, begin / P::unit, v) * get(low_, column / P::N, v);
  Floats decoded[S], wanted[S], pull[S], weight[S], value[S], delta[S], gain{};
  for (int i = 0; i < S; i++) {
    pull[i] = get(pull_, j + i, v);
    weight[i] = splat(h[i * n_ + i]);
    wanted[i] = decoded[i] = get(weight_, column + i, v) - get(error_, column + i, v);
  }
  for (int i = 0; i < S; i++)
    for (int k = 0; k < S; k++) wanted[i] += inverse[i * S + k] * pull[k];
  P::round(wanted, weight, scale, low, value);
  for (int i = 0; i < S; i++) delta[i] = scale * value[i] + low - decoded[i];
  for (int i = 0; i < S; i++) {
    Floats sum{};
    for (int k = 0; k < S; k++) sum += h[i * n_ + k] * delta[k];
    gain += delta[i] * (sum - 2.f * pull[i]);
  }
  const Ints better = gain < 0.f;
  if (!any(better)) return;
  count(select(better, gain, Floats{}), v);
  for (int i = 0; i < S; i++) {
    const Floats move = select(better, -delta[i], Floats{});
    const float* row = layer_.hessian + (column + i) * n_ + begin;
    put(value_, column + i, v, select(better, value[i], get(value_, column + i, v)));
    put(error_, column + i, v, get(error_, column + i, v) + move);
    put(first_, j + i, v, move);
    for (int c = from; c < from + kTogether; c++) put(pull_, c, v, get(pull_, c, v) + move * row[c]);
    moved.column[moved.count++] = j + i;
  }
}

// Moves a sub-block's scale (and low) to the storable ones nearest to the best for its codes.
template <class P>
inline BITWRIGHT_FORCE void Tile<P>::rescale(int64_t begin, int g) {
  const int64_t first = begin + g * P::N, block = first / P::N;
  const float *row_sums = &inner_.row_sums[first], all = inner_.sums[block];
  std::memset(target_, 0, P::N * kRows * sizeof(float));
  accumulate(target_, kRows, value_ + first * kRows, layer_.hessian + first * n_ + first, n_, P::N, P::N);
  Moved group;
  for (int j = 0; j < P::N; j++) group.column[group.count++] = g * P::N + j;
  for (int v = 0; v < kVectors; v++) {
    const Floats unit_scale = get(unit_scale_, begin / P::unit, v), unit_min = get(unit_min_, begin / P::unit, v);
    const Codes now{get(scale_, block, v), get(low_, block, v)};
    Floats value[P::N], pull_value{}, pull_one{}, squares{}, cross{};
    for (int j = 0; j < P::N; j++) value[j] = get(value_, first + j, v);
    for (int i = 0; i < P::N; i++) {
      const Floats pull = get(pull_, g * P::N + i, v);
      pull_value += pull * value[i];
      pull_one += pull;
      squares += get(target_, i, v) * value[i];
      cross += value[i] * row_sums[i];
    }
    const Floats determinant = squares * all - cross * cross;
    const Floats step = P::lows ? (pull_value * all - pull_one * cross) / determinant : pull_value / squares;
    const Floats wanted = now.scale + step * reciprocal(unit_scale);
    Codes best = now;
    Floats least{};
    for (int i = 0; i < (P::integers ? 4 : 2); i++) {  // the nearest and its neighbours, and a change of the low alone
      const Floats scale = i == (P::integers ? 3 : 1)
                               ? now.scale
                               : P::clamped(Codes{wanted + static_cast<float>(P::integers ? i - 1 : 0), now.low}).scale;
      const Floats ds = unit_scale * (scale - now.scale);
      Codes tried{scale, now.low};
      if (P::lows)
        tried.low = P::clamped(Codes{scale, now.low - (pull_one - ds * cross) * reciprocal(unit_min * all)}).low;
      const Floats dl = -unit_min * (tried.low - now.low);
      const Floats gain =
          ds * ds * squares + 2.f * ds * dl * cross + dl * dl * all - 2.f * (ds * pull_value + dl * pull_one);
      const Ints better = gain < least;
      least = select(better, gain, least);
      best = select(better, tried, best);
    }
    if (!any(least < 0.f)) continue;
    const Floats ds = unit_scale * (best.scale - now.scale), dl = -unit_min * (best.low - now.low);
    for (int j = 0; j < P::N; j++) {
      const Floats delta = ds * value[j] + dl;
      put(error_, first + j, v, get(error_, first + j, v) - delta);
      put(first_, g * P::N + j, v, -delta);
    }
    put(scale_, block, v, best.scale);
    put(low_, block, v, best.low);
    count(least, v);
    if (P::integers || g + 1 < P::groups) pass_on(begin, v, group, 0, 0);  // otherwise nobody reads the pull again
  }
}

// Fits unit_scale (and unit_min) by least squares and rounds them to float16.
template <class P>
inline BITWRIGHT_FORCE void Tile<P>::rescale_unit(int64_t begin) {
  const int64_t unit = begin / P::unit;
  const float* h = layer_.hessian + begin * n_ + begin;
  float* codes[2] = {first_, second_};  // the derivatives of decoded weights with respect to unit_scale and unit_min
  Floats product[2][2][kVectors] = {}, pulled[2][kVectors] = {};
  for (int j = 0; j < P::unit; j++)
    for (int v = 0; v < kVectors; v++) {
      const Floats scale = get(scale_, (begin + j) / P::N, v), low = get(low_, (begin + j) / P::N, v),
                   pull = get(pull_, j, v);
      const Floats moves[2] = {scale * get(value_, begin + j, v), -low};
      for (int p = 0; p < 2; p++) put(codes[p], j, v, moves[p]), pulled[p][v] += moves[p] * pull;
    }
  for (int q = 0; q < (P::lows ? 2 : 1); q++) {
    std::memset(target_, 0, P::unit * kRows * sizeof(float));
    accumulate(target_, kRows, codes[q], h, n_, P::unit, P::unit);
    for (int j = 0; j < P::unit; j++)
      for (int v = 0; v < kVectors; v++)
        for (int p = 0; p <= q; p++) product[p][q][v] += get(codes[p], j, v) * get(target_, j, v);
  }
  for (int v = 0; v < kVectors; v++) {
    const Floats unit_scale = get(unit_scale_, unit, v), unit_min = get(unit_min_, unit, v), dd = product[0][0][v],
                 dm = product[0][1][v], mm = product[1][1][v];
    const Floats determinant = dd * mm - dm * dm;
    Floats step = pulled[0][v] / dd, step_min{};
    if (P::lows) {
      const Ints solvable = determinant > 1e-6f * dd * mm;
      step = select(solvable, (pulled[0][v] * mm - pulled[1][v] * dm) / determinant, step);
      step_min = select(solvable, (pulled[1][v] * dd - pulled[0][v] * dm) / determinant, Floats{});
    }
    step = as_half(unit_scale + step) - unit_scale;
    step_min = as_half(unit_min + step_min) - unit_min;
    const Floats gain = step * step * dd + 2.f * step * step_min * dm + step_min * step_min * mm -
                        2.f * (step * pulled[0][v] + step_min * pulled[1][v]);
    const Ints better = gain < 0.f;
    step = select(better, step, Floats{});
    step_min = select(better, step_min, Floats{});
    put(unit_scale_, unit, v, unit_scale + step);
    put(unit_min_, unit, v, unit_min + step_min);
    for (int j = 0; j < P::unit; j++)
      put(error_, begin + j, v, get(error_, begin + j, v) - step * get(first_, j, v) - step_min * get(second_, j, v));
    count(select(better, gain, Floats{}), v);
  }
}

template <class P>
static void feed_back_rows(const Layer& layer, const float* w, int64_t rows, uint8_t* out, double* objective,
                           Pool& pool) {
  const int64_t tiles = (rows + kRows - 1) / kRows, trace = layer.rounds + 1;
  std::vector<double> left(tiles * trace);
  const Inner<P> inner(layer);
  pool.parallel_for(tiles, 1, [&](int64_t from, int64_t to, int) {
    Tile<P> tile(layer, inner);
    for (int64_t t = from; t < to; t++) {
      const int64_t first = t * kRows;
      tile.encode(w + first * layer.n, std::min(kRows, rows - first),
                  reinterpret_cast<typename P::Block*>(out) + first * (layer.n / P::unit), &left[t * trace]);
    }
  });
  for (int64_t i = 0; i < tiles * trace; i++) objective[i % trace] += left[i];
}
