// Causal attention with a running softmax. One item is a tile of query rows (tokens × the heads that share a key-value head)
// against the whole cache of that head, kKeyBlock positions at a time: a block of keys and values is converted to float32 once
// and used by every row of the tile. With few rows (decode) the float16 is converted in registers instead.
// Blocks start at multiples of kKeyBlock and a row ignores what it may not see, so a row's result does not depend on which
// other rows share its tile.

#if defined(__AVX512F__)
constexpr int kRows = 12;
#elif defined(__AVX2__) || defined(__ARM_NEON)
constexpr int kRows = 6;
#else
constexpr int kRows = 2;   // as many rows × 16 columns of sums as the registers hold
#endif
constexpr int kVectors = kKeyGroup / kLanes;

// c[r][0..16) = c * keep[r] + a[r] · b for R rows: a is (R, depth), b is (depth, 16) with stride b_stride.
template <int R, typename T>
static inline void product(const float* a, int64_t a_stride, const T* b, int64_t b_stride, int64_t depth, const float* keep, float* c, int64_t c_stride) {
  vf sums[R][kVectors];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < kVectors; ++v) sums[r][v] = vf{};   // `= {}` would clear memory, not registers
  for (int64_t k = 0; k < depth; ++k) {
    vf columns[kVectors];
    for (int v = 0; v < kVectors; ++v) columns[v] = load(b + k * b_stride + v * kLanes);
    for (int r = 0; r < R; ++r) {
      const vf factor = splat(a[r * a_stride + k]);
      for (int v = 0; v < kVectors; ++v) sums[r][v] = fma(factor, columns[v], sums[r][v]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < kVectors; ++v) {
      float* to = c + r * c_stride + v * kLanes;
      store(to, keep ? fma(load(to), splat(keep[r]), sums[r][v]) : sums[r][v]);
    }
}

template <typename T, int R = kRows>
static void products(int64_t rows, const float* a, int64_t a_stride, const T* b, int64_t b_stride, int64_t depth, const float* keep, float* c, int64_t c_stride) {
  if constexpr (R > 0) {
    if (rows == R) return product<R>(a, a_stride, b, b_stride, depth, keep, c, c_stride);
    products<T, R - 1>(rows, a, a_stride, b, b_stride, depth, keep, c, c_stride);
  }
}

static void widen(const half_t* x, int64_t n, float* y) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, load(x + i));
  half_t rest[kLanes] = {};
  float out[kLanes];
  for (int64_t j = i; j < n; ++j) rest[j - i] = x[j];
  if (i < n) store(out, load(rest));
  for (int64_t j = i; j < n; ++j) y[j] = out[j - i];
}

// The running softmax of one row: scores become e^(score - maximum) where first <= column < last, and 0 elsewhere.
// `keep` is what earlier sums must be multiplied by.
static inline void soften(float* scores, int64_t first, int64_t last, float softcap, float& maximum, float& total, float& keep) {
  constexpr float kNever = -__builtin_inff();
  if (first >= last) {
    for (int64_t j = 0; j < kKeyBlock; ++j) scores[j] = 0;
    keep = 1;
    return;
  }
  if (softcap != 0)
    for (int64_t j = 0; j < kKeyBlock; j += kLanes) store(scores + j, softcap * tanh(load(scores + j) / softcap));
  for (int64_t j = 0; j < first; ++j) scores[j] = kNever;
  for (int64_t j = last; j < kKeyBlock; ++j) scores[j] = kNever;
  vf most = load(scores);
  for (int64_t j = kLanes; j < kKeyBlock; j += kLanes) most = max(most, load(scores + j));
  const float block = largest(most), now = block > maximum ? block : maximum;
  vf sums{};
  for (int64_t j = 0; j < kKeyBlock; j += kLanes) {
    const vf p = exp(load(scores + j) - now);
    store(scores + j, p);
    sums += p;
  }
  keep = exp(splat(maximum - now))[0];
  total = total * keep + sum(sums);
  maximum = now;
}

namespace {

struct Item {   // one tile of one key-value head
  const AttentionArgs& a;
  const AttentionTile tile;
  const int64_t kv_head, repeat, rows, value_stride;
  float *queries, *sums, *scores, *maxima, *totals, *keep, *keys, *values;   // scratch: (rows, ...) and one block of each

  Item(const AttentionArgs& args, int64_t index, float* scratch)
      : a(args), tile(args.tiles[index / args.kv_heads]), kv_head(index % args.kv_heads), repeat(args.heads / args.kv_heads),
        rows(tile.count * repeat), value_stride(padded(args.head_dim)) {
    queries = scratch;
    sums = queries + rows * a.head_dim;
    scores = sums + rows * value_stride;
    maxima = scores + rows * kKeyBlock;
    totals = maxima + rows;
    keep = totals + rows;
    keys = keep + rows;
    values = keys + kKeyBlock * a.head_dim;
  }

  int64_t offset(int64_t row) const {   // of a row's head in q and y
    return ((tile.token + row / repeat) * a.heads + kv_head * repeat + row % repeat) * a.head_dim;
  }

  template <typename T>
  void block(int64_t start, const T* k, const T* v) {   // scores every row against positions [start, start + kKeyBlock)
    for (int64_t row = 0; row < rows; row += kRows) {
      const int64_t n = rows - row < kRows ? rows - row : kRows;
      const int64_t reach = tile.position + (row + n - 1) / repeat + 1 - start;   // columns the last row may see
      if (reach <= 0) continue;
      const int64_t columns = reach < kKeyBlock ? padded(reach) : kKeyBlock;
      float* s = scores + row * kKeyBlock;
      for (int64_t j = 0; j < columns; j += kKeyGroup)
        products(n, queries + row * a.head_dim, a.head_dim, k + j * a.head_dim, kKeyGroup, a.head_dim, nullptr, s + j, kKeyBlock);
      for (int64_t r = row; r < row + n; ++r) {
        const int64_t own = tile.position + r / repeat - start, last = own + 1 < kKeyBlock ? own + 1 : kKeyBlock;
        const int64_t first = a.window && own - a.window + 1 > 0 ? own - a.window + 1 : 0;
        soften(scores + r * kKeyBlock, first, last, a.softcap, maxima[r], totals[r], keep[r]);
      }
      const int64_t depth = reach < kKeyBlock ? reach : kKeyBlock;
      for (int64_t d = 0; d < value_stride; d += kKeyGroup)
        products(n, s, kKeyBlock, v + d, value_stride, depth, keep + row, sums + row * value_stride + d, value_stride);
    }
  }

  void run() {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t d = 0; d < a.head_dim; ++d) queries[r * a.head_dim + d] = a.q[offset(r) + d] * a.scale;
      for (int64_t d = 0; d < value_stride; ++d) sums[r * value_stride + d] = 0;
      maxima[r] = -__builtin_inff();
      totals[r] = 0;
    }
    const int64_t cache = (tile.slot * a.kv_heads + kv_head) * a.context, end = tile.position + tile.count;
    const int64_t oldest = a.window && tile.position - a.window + 1 > 0 ? tile.position - a.window + 1 : 0;
    for (int64_t start = oldest / kKeyBlock * kKeyBlock; start < end; start += kKeyBlock) {
      const half_t *k = a.keys + (cache + start) * a.head_dim, *v = a.values + (cache + start) * value_stride;
      if (rows <= kRows) {
        block(start, k, v);
      } else {
        const int64_t n = end - start < kKeyBlock ? end - start : kKeyBlock;
        widen(k, padded(n) * a.head_dim, keys);
        widen(v, n * value_stride, values);
        block(start, static_cast<const float*>(keys), static_cast<const float*>(values));
      }
    }
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t d = 0; d < a.head_dim; ++d) a.y[offset(r) + d] = sums[r * value_stride + d] / totals[r];
  }
};

}  // namespace

static void attention(const AttentionArgs& args, int64_t begin, int64_t end, float* scratch) {
  for (int64_t i = begin; i < end; ++i) Item(args, i, scratch).run();
}
