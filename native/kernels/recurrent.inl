// Ops with a state: a short causal convolution, the gated delta rule and the scan of Mamba 2 (recurrence.h).

static void convolve(const ConvolutionArgs& a, const int32_t* rows, int64_t count, float* state, int64_t begin,
                     int64_t end) {
  const int64_t kept = a.taps - 1;
  const auto input = [&](int64_t t) { return t < 0 ? state + (kept + t) * a.channels : a.x + rows[t] * a.channels; };
  for (int64_t t = 0; t < count; ++t) {
    const float* inputs[kMaxTaps];
    for (int64_t k = 0; k < a.taps; ++k) inputs[k] = input(t - kept + k);
    float* y = a.y + rows[t] * a.channels;
    const auto sums = [&](auto get, int64_t c) {
      Floats sum = a.bias ? get(a.bias + c) : Floats{};
      for (int64_t k = 0; k < a.taps; ++k) sum = fma(get(a.weight + k * a.channels + c), get(inputs[k] + c), sum);
      return a.silu ? sum / (1.f + exp(-sum)) : sum;
    };
    int64_t c = begin;
    for (; c + kLanes <= end; c += kLanes) store(y + c, sums([](const float* from) { return load(from); }, c));
    const auto few = [n = end - c](const float* from) {
      Floats found{};
      for (int64_t j = 0; j < n; ++j) found[j] = from[j];
      return found;
    };
    if (c == end) continue;
    const Floats last = sums(few, c);
    for (int64_t j = 0; j < end - c; ++j) y[c + j] = last[j];
  }
  for (int64_t k = 0; k < kept; ++k) {  // what is copied from the state lies further on in it
    const float* from = input(count - kept + k);
    float* to = state + k * a.channels;
    for (int64_t c = begin; c < end; ++c) to[c] = from[c];
  }
}

namespace {

// One head's delta rule over up to kDeltaTokens tokens at a time: S_t = g_t S_{t-1} + k_t d_t', d_t = β_t (v_t - g_t
// S_{t-1}' k_t), y_t = S_t' q_t. With the state S before the first of them and c_t, the sum of the logarithms of g up to t:
//   d_t = β_t (v_t - e^{c_t} S' k_t - sum_{s<t} e^{c_t - c_s} (k_t·k_s) d_s)
//   y_t = e^{c_t} S' q_t + sum_{s<=t} e^{c_t - c_s} (q_t·k_s) d_s
// and S becomes e^{c_n} S + sum_s e^{c_n - c_s} k_s d_s'. So all work on S is products of matrices (the WY form of Yang et al.,
// https://arxiv.org/abs/2406.06484, solved by substitution). A scan is the same without the correction: d_t is a share of v_t,
// keys and queries stay as they are, and y_t has a share of v_t more.
struct DeltaHead {
  static constexpr int64_t kRow = padded(kDeltaTokens);
  const DeltaArgs& a;
  const int64_t head, dims, width;  // dims: of a key; width: of a value, in whole runs
  float *state, *both, *columns, *scores, *results, *factors, *value, *y;
  const float *queries, *keys, *values;

  DeltaHead(const DeltaArgs& args, float* state, int64_t head, float* scratch)
      : a(args),
        head(head),
        dims(a.key_dim),
        width(padded(a.value_dim)),
        state(state),
        both(scratch),
        columns(both + 2 * kDeltaTokens * dims),
        scores(columns + dims * kRow),
        results(scores + 2 * kDeltaTokens * kRow),
        factors(results + 2 * kDeltaTokens * width),
        value(factors + kRow),
        y(value + width) {
    const int64_t key_head = a.tiled ? head % a.key_heads : head / (a.heads / a.key_heads);
    queries = a.queries + key_head * dims;
    keys = a.keys + key_head * dims;
    values = a.values + head * a.value_dim;
    for (int64_t c = 0; c < width; ++c) value[c] = 0;
  }

  // x, which a delta rule normalizes: x / sqrt(x·x + eps) * factor
  void take(const float* x, float factor, float* to) const {
    const auto length = a.skips ? 1.f : static_cast<float>(factor / __builtin_sqrt(dot(x, x, dims) + a.eps));
    map(x, x, dims, to, [=](Floats v, Floats) { return v * length; });
  }

  // Rows (n, depth) times the first `most` columns, in whole runs, of a matrix (depth, row_width).
  template <typename Emit>
  static void multiply(const float* x, int64_t rows, int64_t stride, int64_t depth, const float* by, int64_t row_width,
                       int64_t most, Emit emit) {
    const int64_t groups = divided_up(most, kKeyGroup), runs = row_width / kKeyGroup;
    for (int64_t row = 0; row < rows; row += kRows)
      products<Float32>(rows - row < kRows ? rows - row : kRows, x + row * stride, stride,
                        {reinterpret_cast<const uint8_t*>(by), 0, runs, 1, 0}, groups, depth,
                        [&](int r, int64_t column, Floats sum) { emit(row + r, column, sum); });
  }

  // to = first * factor + the sum of `n` rows of `results`, each times its weight
  void add_rows(const float* first, float factor, const float* weights, int64_t n, float* to) const {
    constexpr int kTogether = 4;
    for (int64_t c = 0; c < width; c += kTogether * kLanes) {
      Floats sums[kTogether];
      const int64_t vectors = (width - c) / kLanes < kTogether ? (width - c) / kLanes : kTogether;
      for (int64_t v = 0; v < vectors; ++v) sums[v] = load(first + c + v * kLanes) * factor;
      for (int64_t s = 0; s < n; ++s)
        for (int64_t v = 0; v < vectors; ++v)
          sums[v] = fma(splat(weights[s]), load(results + s * width + c + v * kLanes), sums[v]);
      for (int64_t v = 0; v < vectors; ++v) store(to + c + v * kLanes, sums[v]);
    }
  }

  void run(const int32_t* rows, int64_t n) {
    double logarithms[kDeltaTokens], sum = 0;
    const auto scale = static_cast<float>(1 / __builtin_sqrt(static_cast<double>(dims)));
    for (int64_t t = 0; t < n; ++t) {
      logarithms[t] = sum += static_cast<double>(a.decays[rows[t] * a.heads + head]);
      take(keys + rows[t] * a.stride, 1, both + t * dims);
      take(queries + rows[t] * a.stride, scale, both + (n + t) * dims);
      for (int64_t i = 0; i < dims; ++i) columns[i * kRow + t] = both[t * dims + i];
    }
    const int64_t first = a.skips ? n : 0;  // a scan multiplies the queries alone
    multiply(both + first * dims, 2 * n - first, dims, dims, columns, kRow, n,
             [&](int64_t r, int64_t c, Floats sums) { store(scores + (first + r) * kRow + c, sums); });
    multiply(both + first * dims, 2 * n - first, dims, dims, state, width, width,
             [&](int64_t r, int64_t c, Floats sums) { store(results + (first + r) * width + c, sums); });
    const auto decay = [&](int64_t count, double from) {  // factors: e^(from - c_s) for s < count
      for (int64_t i = 0; i < padded(count); ++i) factors[i] = i < count ? static_cast<float>(from - logarithms[i]) : 0;
      for (int64_t i = 0; i < padded(count); i += kLanes) store(factors + i, exp(load(factors + i)));
    };
    for (int64_t t = 0; t < n; ++t) {
      const float given = a.shares[rows[t] * a.heads + head], whole = exp(splat(static_cast<float>(logarithms[t])))[0];
      float *own = results + t * width, *asked = scores + (n + t) * kRow, *known = scores + t * kRow;
      const auto weaken = [&](float* products) {
        for (int64_t s = 0; s < padded(t + 1); s += kLanes) store(products + s, load(products + s) * load(factors + s));
      };
      decay(t + 1, logarithms[t]);
      weaken(asked);
      for (int64_t c = 0; c < a.value_dim; ++c) value[c] = values[rows[t] * a.stride + c];
      if (a.skips) {
        map(value, value, width, own, [=](Floats v, Floats) { return given * v; });
      } else {
        const float share = (1.f / (1.f + exp(splat(-given))))[0];
        weaken(known);
        add_rows(own, whole, known, t, own);
        map(value, own, width, own, [=](Floats v, Floats known) { return share * (v - known); });
      }
      add_rows(results + (n + t) * width, whole, asked, t + 1, y);
      if (a.skips) {
        const Floats skip = splat(a.skips[head]);
        map(value, y, width, y, [=](Floats v, Floats sums) { return fma(skip, v, sums); });
      }
      for (int64_t c = 0; c < a.value_dim; ++c) a.y[(rows[t] * a.heads + head) * a.value_dim + c] = y[c];
    }
    decay(n, sum);
    const Floats whole = exp(splat(static_cast<float>(sum)));
    for (int64_t t = 0; t < n; ++t) {
      const float factor = factors[t];
      map(results + t * width, results, width, results + t * width, [=](Floats d, Floats) { return d * factor; });
    }
    multiply(columns, dims, kRow, n, results, width, width, [&](int64_t r, int64_t c, Floats sums) {
      float* at = state + r * width + c;
      store(at, fma(load(at), whole, sums));
    });
  }
};

}  // namespace

static void delta_rule(const DeltaArgs& a, const int32_t* rows, int64_t count, float* state, int64_t head,
                       float* scratch) {
  DeltaHead own(a, state + head * a.key_dim * padded(a.value_dim), head, scratch);
  for (int64_t t = 0; t < count; t += kDeltaTokens)
    own.run(rows + t, count - t < kDeltaTokens ? count - t : kDeltaTokens);
}
