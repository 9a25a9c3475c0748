// A running softmax: blocks of scores arrive one after another; earlier sums are rescaled when a larger score appears.

constexpr float kNever = -__builtin_inff();

// Updates the running softmax of one row: scores become e^(score - maximum) where first <= column < last, and 0 elsewhere.
// Earlier sums must be multiplied by `keep`.
static inline void soften(float* scores, int64_t first, int64_t last, float softcap, float& maximum, float& total,
                          float& keep) {
  if (first >= last) {
    for (int64_t j = 0; j < kKeyBlock; ++j) scores[j] = 0;
    keep = 1;
    return;
  }
  if (softcap != 0)
    for (int64_t j = 0; j < kKeyBlock; j += kLanes) store(scores + j, softcap * tanh(load(scores + j) / softcap));
  for (int64_t j = 0; j < first; ++j) scores[j] = kNever;
  for (int64_t j = last; j < kKeyBlock; ++j) scores[j] = kNever;
  Floats most = load(scores);
  for (int64_t j = kLanes; j < kKeyBlock; j += kLanes) most = max(most, load(scores + j));
  const float block = largest(most), now = block > maximum ? block : maximum;
  Floats sums{};
  for (int64_t j = 0; j < kKeyBlock; j += kLanes) {
    const Floats p = exp(load(scores + j) - now);
    store(scores + j, p);
    sums += p;
  }
  keep = exp(splat(maximum - now))[0];
  total = total * keep + sum(sums);
  maximum = now;
}

// The running softmax of several rows: sums (rows, stride) of weighted values, largest scores, sums of weights.
struct Softmax {
  int64_t rows, stride;
  float *sums, *maxima, *totals;

  Softmax(float* at, int64_t rows, int64_t stride)
      : rows(rows), stride(stride), sums(at), maxima(at + rows * stride), totals(maxima + rows) {}

  void clear() const {
    for (int64_t i = 0; i < rows * stride; ++i) sums[i] = 0;
    for (int64_t r = 0; r < rows; ++r) maxima[r] = kNever, totals[r] = 0;
  }

  void merge(const Softmax& other) const {
    for (int64_t r = 0; r < rows; ++r) {
      if (other.totals[r] == 0) continue;  // it saw nothing
      const float now = other.maxima[r] > maxima[r] ? other.maxima[r] : maxima[r];
      const Floats mine = exp(splat(maxima[r] - now)), others = exp(splat(other.maxima[r] - now));
      for (int64_t i = r * stride; i < (r + 1) * stride; i += kLanes)
        store(sums + i, fma(load(sums + i), mine, load(other.sums + i) * others));
      totals[r] = totals[r] * mine[0] + other.totals[r] * others[0];
      maxima[r] = now;
    }
  }
};
