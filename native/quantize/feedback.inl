// Codes chosen with error feedback (GPTQ, arXiv 2210.17323, in the form of LDLQ, arXiv 2307.13304) on a format's own grid, then
// coordinate descent. What is made small is the layer's objective tr(E H E'), E = weights - decoded weights (rows, n).
//
// With H = F' D F the objective of a row is the sum over columns j of D_j (target_j - decoded_j)^2, where
// target_j = weight_j + sum over k < j of error_k F_jk: each column makes up for what was lost before it. Scales are chosen where
// their columns' turn comes, among the best fits to the targets then and their neighbours, by that sum itself.

template <class P>
class Tile {  // kRows rows, side by side: every array is [column or sub-block or unit][row]
 public:
  explicit Tile(const Layer& layer)
      : layer_(layer), n_(layer.n), memory_((4 * n_ + 2 * n_ / P::N + 2 * n_ / P::unit + 3 * P::unit) * kRows) {
    float* at = memory_.data();
    const auto take = [&](float*& to, int64_t columns) { to = at, at += columns * kRows; };
    take(weight_, n_), take(target_, n_), take(error_, n_), take(value_, n_);
    take(scale_, n_ / P::N), take(low_, n_ / P::N), take(d_, n_ / P::unit), take(dmin_, n_ / P::unit);
    take(pull_, P::unit), take(first_, P::unit), take(second_, P::unit);
  }

  // Encodes `rows` rows of w; objective[0] takes what feedback leaves, objective[i] what the i-th round does.
  void encode(const float* w, int64_t rows, typename P::Block* out, double* objective) {
    for (int64_t j = 0; j < n_; j++)
      for (int64_t r = 0; r < kRows; r++) weight_[j * kRows + r] = w[std::min(r, rows - 1) * n_ + j];
    rows_ = rows, objective_ = 0;
    for (int64_t begin = 0; begin < n_; begin += P::unit) feed_back(begin);
    objective[0] += objective_;
    for (int round = 1; round <= layer_.rounds; round++) {
      for (int64_t begin = 0; begin < n_; begin += P::unit) descend(begin);
      objective[round] += objective_;
    }
    pack(out);
  }

 private:
  floats get(const float* from, int64_t j, int v) const { return load(from + j * kRows + v * kLanes); }
  void put(float* to, int64_t j, int v, floats value) { store(value, to + j * kRows + v * kLanes); }
  float diagonal(int64_t j) const { return layer_.hessian[j * n_ + j]; }

  BITWRIGHT_FORCE void count(floats change, int v) {
    for (int k = 0; k < kLanes; k++)
      if (v * kLanes + k < rows_) objective_ += change[k];
  }

  // ---- feedback ----

  void feed_back(int64_t begin) {
    std::memcpy(target_ + begin * kRows, weight_ + begin * kRows, P::unit * kRows * sizeof(float));
    accumulate(target_ + begin * kRows, error_, layer_.factor + begin * n_, n_, P::unit, begin);
    for (int v = 0; v < kVectors; v++) fit(begin, v);
    for (int g = 0; g < P::groups; g++) {
      const int64_t first = begin + g * P::N;
      accumulate(target_ + first * kRows, error_ + begin * kRows, layer_.factor + first * n_ + begin, n_, P::N,
                 first - begin);
      for (int v = 0; v < kVectors; v++) settle(begin, first, v);
    }
  }

  BITWRIGHT_FORCE void fit(int64_t begin, int v) {
    floats x[P::unit], w[P::unit], d, dmin;
    for (int j = 0; j < P::unit; j++) x[j] = get(target_, begin + j, v), w[j] = splat(diagonal(begin + j));
    P::fit(x, w, d, dmin);
    put(d_, begin / P::unit, v, d);
    put(dmin_, begin / P::unit, v, dmin);
  }

  // Tries scales for a sub-block, each with the feedback inside it, and keeps what leaves the least.
  BITWRIGHT_FORCE void settle(int64_t begin, int64_t first, int v) {
    const floats d = get(d_, begin / P::unit, v), dmin = get(dmin_, begin / P::unit, v);
    floats x[P::N], w[P::N];
    for (int j = 0; j < P::N; j++) x[j] = get(target_, first + j, v), w[j] = splat(diagonal(first + j));
    Codes tried[P::candidates], best{};
    P::propose(x, w, d, dmin, tried);
    floats least = splat(INFINITY);
    for (int i = 0; i < P::candidates; i++) {
      const floats left = round_group<false>(first, v, x, w, d * tried[i].scale, -dmin * tried[i].low);
      const ints better = left < least;
      least = select(better, left, least);
      best = select(better, tried[i], best);
    }
    put(scale_, first / P::N, v, best.scale);
    put(low_, first / P::N, v, best.low);
    count(round_group<true>(first, v, x, w, d * best.scale, -dmin * best.low), v);
  }

  template <bool Keep>
  BITWRIGHT_FORCE floats round_group(int64_t first, int v, const floats* x, const floats* w, floats scale, floats low) {
    floats target[P::N], left{};
    for (int j = 0; j < P::N; j++) target[j] = x[j];
    for (int from = 0; from < P::N; from += P::step) {
      floats value[P::step];
      P::round(target + from, w + from, scale, low, value);
      for (int j = from; j < from + P::step; j++) {
        const floats decoded = scale * value[j - from] + low, miss = target[j] - decoded;
        const floats error = get(weight_, first + j, v) - decoded;
        const float* column = layer_.factor + first * n_ + first + j;
        left += column[j * n_] * miss * miss;
        for (int i = j + 1; i < P::N; i++) target[i] += error * column[i * n_];
        if (Keep) put(value_, first + j, v, value[j - from]), put(error_, first + j, v, error);
      }
    }
    return left;
  }

  // ---- coordinate descent ----
  // pull_ is E H of the unit's columns: half of how fast the objective falls as a decoded weight rises.

  void descend(int64_t begin) {
    const float* h = layer_.hessian + begin * n_;
    std::memset(pull_, 0, P::unit * kRows * sizeof(float));
    accumulate(pull_, error_, h, n_, P::unit, n_);
    for (int j = 0; j < P::unit; j += P::step) recode(begin, j);
    for (int g = 0; g < P::groups; g++) rescale(begin, g);
    if (P::integers) rescale_unit(begin);
  }

  // Codes from column `begin + j` on to the nearest of what is best with all others as they are.
  BITWRIGHT_FORCE void recode(int64_t begin, int j) {
    constexpr int S = P::step;
    const int64_t column = begin + j;
    const float* h = layer_.hessian + column * n_ + column;
    float inverse[S * S];
    invert<S>(h, n_, inverse);
    floats change[S][kVectors];
    ints changed{};
    for (int v = 0; v < kVectors; v++) {
      const floats scale = get(d_, begin / P::unit, v) * get(scale_, column / P::N, v);
      const floats low = -get(dmin_, begin / P::unit, v) * get(low_, column / P::N, v);
      floats decoded[S], wanted[S], pull[S], weight[S], value[S], delta[S], gain{};
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
        floats sum{};
        for (int k = 0; k < S; k++) sum += h[i * n_ + k] * delta[k];
        gain += delta[i] * (sum - 2.f * pull[i]);
      }
      const ints better = gain < 0.f;
      for (int i = 0; i < S; i++) {
        change[i][v] = select(better, delta[i], floats{});
        put(value_, column + i, v, select(better, value[i], get(value_, column + i, v)));
        put(error_, column + i, v, get(error_, column + i, v) - change[i][v]);
      }
      changed |= better;
      count(select(better, gain, floats{}), v);
    }
    if (!any(changed)) return;
    for (int i = 0; i < S; i++) {
      const float* row = layer_.hessian + (column + i) * n_ + begin;
      for (int c = 0; c < P::unit; c++)
        for (int v = 0; v < kVectors; v++) put(pull_, c, v, get(pull_, c, v) - change[i][v] * row[c]);
    }
  }

  // A sub-block's scale (and low) to the stored ones nearest to the best for its codes.
  BITWRIGHT_FORCE void rescale(int64_t begin, int g) {
    const int64_t first = begin + g * P::N, block = first / P::N;
    const float* h = layer_.hessian + first * n_ + first;
    float row_sums[P::N], all = 0.f;
    for (int i = 0; i < P::N; i++) {
      row_sums[i] = 0.f;
      for (int j = 0; j < P::N; j++) row_sums[i] += h[i * n_ + j];
      all += row_sums[i];
    }
    for (int v = 0; v < kVectors; v++) {
      const floats d = get(d_, begin / P::unit, v), dmin = get(dmin_, begin / P::unit, v);
      const Codes now{get(scale_, block, v), get(low_, block, v)};
      floats value[P::N], pull_value{}, pull_one{}, squares{}, cross{};
      for (int j = 0; j < P::N; j++) value[j] = get(value_, first + j, v);
      for (int i = 0; i < P::N; i++) {
        floats sum{};
        for (int j = 0; j < P::N; j++) sum += value[j] * h[i * n_ + j];
        const floats pull = get(pull_, g * P::N + i, v);
        pull_value += pull * value[i];
        pull_one += pull;
        squares += sum * value[i];
        cross += value[i] * row_sums[i];
      }
      const floats determinant = squares * all - cross * cross;
      const floats step = P::lows ? (pull_value * all - pull_one * cross) / determinant : pull_value / squares;
      const floats wanted = now.scale + step * reciprocal(d);
      Codes best = now;
      floats least{};
      for (int i = 0; i < (P::integers ? 4 : 2); i++) {  // the nearest and its neighbours; and only the low changed
        const floats scale =
            i == (P::integers ? 3 : 1)
                ? now.scale
                : P::clamped(Codes{wanted + static_cast<float>(P::integers ? i - 1 : 0), now.low}).scale;
        const floats ds = d * (scale - now.scale);
        Codes tried{scale, now.low};
        if (P::lows)
          tried.low = P::clamped(Codes{scale, now.low - (pull_one - ds * cross) * reciprocal(dmin * all)}).low;
        const floats dl = -dmin * (tried.low - now.low);
        const floats gain =
            ds * ds * squares + 2.f * ds * dl * cross + dl * dl * all - 2.f * (ds * pull_value + dl * pull_one);
        const ints better = gain < least;
        least = select(better, gain, least);
        best = select(better, tried, best);
      }
      const floats ds = d * (best.scale - now.scale), dl = -dmin * (best.low - now.low);
      for (int j = 0; j < P::N; j++) {
        const floats delta = ds * value[j] + dl;
        put(error_, first + j, v, get(error_, first + j, v) - delta);
        put(first_, j, v, -delta);
      }
      put(scale_, block, v, best.scale);
      put(low_, block, v, best.low);
      count(least, v);
    }
    accumulate(pull_, first_, layer_.hessian + begin * n_ + first, n_, P::unit, P::N);
  }

  // d (and dmin) of the unit by least squares, as float16 stores them.
  BITWRIGHT_FORCE void rescale_unit(int64_t begin) {
    const int64_t unit = begin / P::unit;
    const float* h = layer_.hessian + begin * n_ + begin;
    float* codes[2] = {first_, second_};  // how decoded weights move with d, and with dmin
    floats product[2][2][kVectors] = {}, pulled[2][kVectors] = {};
    for (int j = 0; j < P::unit; j++)
      for (int v = 0; v < kVectors; v++) {
        const floats scale = get(scale_, (begin + j) / P::N, v), low = get(low_, (begin + j) / P::N, v),
                     pull = get(pull_, j, v);
        const floats moves[2] = {scale * get(value_, begin + j, v), -low};
        for (int p = 0; p < 2; p++) put(codes[p], j, v, moves[p]), pulled[p][v] += moves[p] * pull;
      }
    for (int q = 0; q < (P::lows ? 2 : 1); q++) {
      std::memset(target_, 0, P::unit * kRows * sizeof(float));
      accumulate(target_, codes[q], h, n_, P::unit, P::unit);
      for (int j = 0; j < P::unit; j++)
        for (int v = 0; v < kVectors; v++)
          for (int p = 0; p <= q; p++) product[p][q][v] += get(codes[p], j, v) * get(target_, j, v);
    }
    for (int v = 0; v < kVectors; v++) {
      const floats d = get(d_, unit, v), dmin = get(dmin_, unit, v), dd = product[0][0][v], dm = product[0][1][v],
                   mm = product[1][1][v];
      const floats determinant = dd * mm - dm * dm;
      floats step = pulled[0][v] / dd, step_min{};
      if (P::lows) {
        const ints solvable = determinant > 1e-6f * dd * mm;
        step = select(solvable, (pulled[0][v] * mm - pulled[1][v] * dm) / determinant, step);
        step_min = select(solvable, (pulled[1][v] * dd - pulled[0][v] * dm) / determinant, floats{});
      }
      step = as_half(d + step) - d;
      step_min = as_half(dmin + step_min) - dmin;
      const floats gain = step * step * dd + 2.f * step * step_min * dm + step_min * step_min * mm -
                          2.f * (step * pulled[0][v] + step_min * pulled[1][v]);
      const ints better = gain < 0.f;
      step = select(better, step, floats{});
      step_min = select(better, step_min, floats{});
      put(d_, unit, v, d + step);
      put(dmin_, unit, v, dmin + step_min);
      for (int j = 0; j < P::unit; j++)
        put(error_, begin + j, v, get(error_, begin + j, v) - step * get(first_, j, v) - step_min * get(second_, j, v));
      count(select(better, gain, floats{}), v);
    }
  }

  void pack(typename P::Block* out) {
    const int64_t units = n_ / P::unit;
    for (int64_t unit = 0; unit < units; unit++)
      for (int v = 0; v * kLanes < rows_; v++) {
        floats value[P::unit], scale[P::groups], low[P::groups];
        for (int j = 0; j < P::unit; j++) value[j] = get(value_, unit * P::unit + j, v);
        for (int g = 0; g < P::groups; g++) {
          scale[g] = get(scale_, unit * P::groups + g, v);
          low[g] = get(low_, unit * P::groups + g, v);
        }
        P::pack(out + v * kLanes * units + unit, units, std::min<int64_t>(kLanes, rows_ - v * kLanes), value, scale,
                low, get(d_, unit, v), get(dmin_, unit, v));
      }
  }

  const Layer layer_;
  const int64_t n_;
  std::vector<float> memory_;
  float *weight_, *target_, *error_, *value_, *scale_, *low_, *d_, *dmin_, *pull_, *first_, *second_;
  int64_t rows_ = 0;
  double objective_ = 0;
};

template <class P>
static void feed_back_rows(const Layer& layer, const float* w, int64_t rows, uint8_t* out, double* objective,
                           Pool& pool) {
  const int64_t tiles = (rows + kRows - 1) / kRows, trace = layer.rounds + 1;
  std::vector<double> left(tiles * trace);
  pool.parallel_for(tiles, 1, [&](int64_t from, int64_t to, int) {
    Tile<P> tile(layer);
    for (int64_t t = from; t < to; t++) {
      const int64_t first = t * kRows;
      tile.encode(w + first * layer.n, std::min(kRows, rows - first),
                  reinterpret_cast<typename P::Block*>(out) + first * (layer.n / P::unit), &left[t * trace]);
    }
  });
  for (int64_t i = 0; i < tiles * trace; i++) objective[i % trace] += left[i];
}

static const Feedback kFeedback[] = {
    {FormatId::q2_k, kSuper, feed_back_rows<AsymmetricK<block_q2_k, 16, 3, 15>>},
    {FormatId::q4_k, kSuper, feed_back_rows<AsymmetricK<block_q4_k, 32, 15, 63>>},
    {FormatId::q5_k, kSuper, feed_back_rows<AsymmetricK<block_q5_k, 32, 31, 63>>},
    {FormatId::q3_k, kSuper, feed_back_rows<SymmetricK<block_q3_k, 16, IntegerGrid<4>, 32>>},
    {FormatId::q6_k, kSuper, feed_back_rows<SymmetricK<block_q6_k, 16, IntegerGrid<32>, 128>>},
    {FormatId::iq4_xs, kSuper, feed_back_rows<SymmetricK<block_iq4_xs, 32, Iq4Grid, 32>>},
    {FormatId::q4_0, 32, feed_back_rows<SymmetricHalf<block_q4_0, IntegerGrid<8>>>},
    {FormatId::q5_0, 32, feed_back_rows<SymmetricHalf<block_q5_0, IntegerGrid<16>>>},
    {FormatId::q8_0, 32, feed_back_rows<SymmetricHalf<block_q8_0, EvenGrid<127>>>},
    {FormatId::iq4_nl, 32, feed_back_rows<SymmetricHalf<block_iq4_nl, Iq4Grid>>},
    {FormatId::q4_1, 32, feed_back_rows<AsymmetricHalf<block_q4_1, 15>>},
    {FormatId::q5_1, 32, feed_back_rows<AsymmetricHalf<block_q5_1, 31>>},
    {FormatId::q1_0, 128, feed_back_rows<SymmetricHalf<block_q1_0, SignGrid, 128>>},
    {FormatId::q2_0, 64, feed_back_rows<SymmetricHalf<block_q2_0, TwoBitGrid, 64>>},
    {FormatId::mxfp4, 32, feed_back_rows<PowerOfTwo>},
    {FormatId::nvfp4, 64, feed_back_rows<Ue4m3>},
    {FormatId::iq1_s, kSuper, feed_back_rows<PointsK<Iq1S, 32>>},
    {FormatId::iq1_m, kSuper, feed_back_rows<PointsK<Iq1M, 8>>},
    {FormatId::iq2_xxs, kSuper, feed_back_rows<PointsK<Iq2Xxs, 8>>},
    {FormatId::iq2_xs, kSuper, feed_back_rows<PointsK<Iq2Xs, 8>>},
    {FormatId::iq2_s, kSuper, feed_back_rows<PointsK<Iq2S, 8>>},
    {FormatId::iq3_xxs, kSuper, feed_back_rows<PointsK<Iq3Xxs, 8>>},
    {FormatId::iq3_s, kSuper, feed_back_rows<PointsK<Iq3S, 8>>},
};
