// Error feedback (GPTQ, arXiv 2210.17323, in the form of LDLQ, arXiv 2307.13304) on a format's grid, then coordinate
// descent. Both minimize the layer's objective tr(E H E'), E = weights - decoded weights (rows, n).
//
// With H = F' D F the objective of a row is the sum over columns j of D_j (target_j - decoded_j)^2, where target_j =
// weight_j + sum over k < j of error_k F_jk: each column compensates for the errors before it. Scales are chosen when
// their columns are reached, among the best fits to the current targets and their neighbours, by the same sum.

// What coordinate descent needs to know of the Hessian inside each group of columns, the same for all rows.
template <class P>
struct Inner {
  explicit Inner(const Layer& layer) : inverse(layer.n * P::step), row_sums(layer.n), sums(layer.n / P::N) {
    for (int64_t j = 0; j < layer.n; j += P::step)
      invert<P::step>(layer.hessian + j * layer.n + j, layer.n, &inverse[j * P::step]);
    for (int64_t j = 0; j < layer.n; j++) {
      const float* row = layer.hessian + j * layer.n + j / P::N * P::N;
      for (int k = 0; k < P::N; k++) row_sums[j] += row[k];
      sums[j / P::N] += row_sums[j];
    }
  }
  std::vector<float> inverse;         // of the columns that are rounded together: (step, step) each
  std::vector<float> row_sums, sums;  // of a sub-block: of a row, of all
};

template <class P>
class Tile {  // kRows rows side by side: every array is [column or sub-block or unit][row]
 public:
  Tile(const Layer& layer, const Inner<P>& inner)
      : layer_(layer),
        inner_(inner),
        n_(layer.n),
        memory_((4 * n_ + 2 * n_ / P::N + 2 * n_ / P::unit + 3 * P::unit) * kRows) {
    float* at = memory_.data();
    const auto take = [&](float*& to, int64_t columns) { to = at, at += columns * kRows; };
    take(weight_, n_), take(target_, n_), take(error_, n_), take(value_, n_);
    take(scale_, n_ / P::N), take(low_, n_ / P::N), take(unit_scale_, n_ / P::unit), take(unit_min_, n_ / P::unit);
    take(pull_, P::unit), take(first_, P::unit), take(second_, P::unit);
  }

  // Encodes `rows` rows of w. objective[0] receives the objective after feedback, objective[i] after the i-th round.
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
  Floats get(const float* from, int64_t j, int v) const { return load(from + j * kRows + v * kLanes); }
  void put(float* to, int64_t j, int v, Floats value) { store(to + j * kRows + v * kLanes, value); }
  float diagonal(int64_t j) const { return layer_.hessian[j * n_ + j]; }

  BITWRIGHT_FORCE void count(Floats change, int v) {
    for (int k = 0; k < kLanes; k++)
      if (v * kLanes + k < rows_) objective_ += change[k];
  }

  // ---- feedback ----

  void feed_back(int64_t begin) {
    std::memcpy(target_ + begin * kRows, weight_ + begin * kRows, P::unit * kRows * sizeof(float));
    accumulate(target_ + begin * kRows, kRows, error_, layer_.factor + begin * n_, n_, P::unit, begin);
    for (int v = 0; v < kVectors; v++) fit(begin, v);
    for (int g = 0; g < P::groups; g++) {
      const int64_t first = begin + g * P::N;
      accumulate(target_ + first * kRows, kRows, error_ + begin * kRows, layer_.factor + first * n_ + begin, n_, P::N,
                 first - begin);
      for (int v = 0; v < kVectors; v++) settle(begin, first, v);
    }
  }

  BITWRIGHT_FORCE void fit(int64_t begin, int v) {
    Floats x[P::unit], w[P::unit], unit_scale, unit_min;
    for (int j = 0; j < P::unit; j++) x[j] = get(target_, begin + j, v), w[j] = splat(diagonal(begin + j));
    P::fit(x, w, unit_scale, unit_min);
    put(unit_scale_, begin / P::unit, v, unit_scale);
    put(unit_min_, begin / P::unit, v, unit_min);
  }

  // Tries scales for a sub-block, each with the feedback inside it, and keeps the one with the least objective.
  BITWRIGHT_FORCE void settle(int64_t begin, int64_t first, int v) {
    const Floats unit_scale = get(unit_scale_, begin / P::unit, v), unit_min = get(unit_min_, begin / P::unit, v);
    Floats x[P::N], w[P::N];
    for (int j = 0; j < P::N; j++) x[j] = get(target_, first + j, v), w[j] = splat(diagonal(first + j));
    Codes tried[P::candidates], best{};
    P::propose(x, w, unit_scale, unit_min, tried);
    Floats least = splat(INFINITY);
    for (int i = 0; i < P::candidates; i++) {
      const Floats left =
          round_group<false>(first, v, x, w, unit_scale * tried[i].scale, -unit_min * tried[i].low, least);
      const Ints better = left < least;
      least = select(better, left, least);
      best = select(better, tried[i], best);
    }
    put(scale_, first / P::N, v, best.scale);
    put(low_, first / P::N, v, best.low);
    count(round_group<true>(first, v, x, w, unit_scale * best.scale, -unit_min * best.low, splat(INFINITY)), v);
  }

  // A few columns at a time, whose targets stay in registers. Stops where no row can come below `enough` any more.
  template <bool Keep>
  BITWRIGHT_FORCE Floats round_group(int64_t first, int v, const Floats* x, const Floats* w, Floats scale, Floats low,
                                     Floats enough) {
    constexpr int Few = std::max(P::step, 8);
    Floats errors[P::N], left{};
    for (int from = 0; from < P::N && (Keep || !from || any(left < enough)); from += Few) {
      const float* factor = layer_.factor + (first + from) * n_ + first;  // (Few, from + Few)
      Floats target[Few];
      for (int i = 0; i < Few; i++) target[i] = x[from + i];
      for (int k = 0; k < from; k++)
        for (int i = 0; i < Few; i++) target[i] += errors[k] * factor[i * n_ + k];
      for (int group = 0; group < Few; group += P::step) {
        Floats value[P::step];
        P::round(target + group, w + from + group, scale, low, value);
        for (int j = group; j < group + P::step; j++) {
          const int column = from + j;
          const Floats decoded = scale * value[j - group] + low, miss = target[j] - decoded;
          errors[column] = get(weight_, first + column, v) - decoded;
          left += factor[j * n_ + column] * miss * miss;
          for (int i = j + 1; i < Few; i++) target[i] += errors[column] * factor[i * n_ + column];
          if (Keep) put(value_, first + column, v, value[j - group]), put(error_, first + column, v, errors[column]);
        }
      }
    }
    return left;
  }

  // Coordinate descent (descent.inl).
  static constexpr int kTogether = std::max(P::step, 16);
  struct Moved {  // columns of a unit
    int count = 0, column[std::max(kTogether, P::N)];
  };
  void descend(int64_t begin);
  inline BITWRIGHT_FORCE void pass_on(int64_t begin, int v, const Moved& moved, int from, int to);
  inline BITWRIGHT_FORCE void recode(int64_t begin, int from, int j, int v, Moved& moved);
  inline BITWRIGHT_FORCE void rescale(int64_t begin, int g);
  inline BITWRIGHT_FORCE void rescale_unit(int64_t begin);

  void pack(typename P::Block* out) {
    const int64_t units = n_ / P::unit;
    for (int64_t unit = 0; unit < units; unit++)
      for (int v = 0; v * kLanes < rows_; v++) {
        Floats value[P::unit], scale[P::groups], low[P::groups];
        for (int j = 0; j < P::unit; j++) value[j] = get(value_, unit * P::unit + j, v);
        for (int g = 0; g < P::groups; g++) {
          scale[g] = get(scale_, unit * P::groups + g, v);
          low[g] = get(low_, unit * P::groups + g, v);
        }
        P::pack(out + v * kLanes * units + unit, units, std::min<int64_t>(kLanes, rows_ - v * kLanes), value, scale,
                low, get(unit_scale_, unit, v), get(unit_min_, unit, v));
      }
  }

  const Layer layer_;
  const Inner<P>& inner_;
  const int64_t n_;
  std::vector<float> memory_;
  float *weight_, *target_, *error_, *value_, *scale_, *low_, *unit_scale_, *unit_min_, *pull_, *first_, *second_;
  int64_t rows_ = 0;
  double objective_ = 0;
};
