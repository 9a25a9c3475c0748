// Dense algebra that sums in one fixed order and fuses nothing: the bits do not depend on the thread count or the
// instruction set. Matrices are row-major float32.

constexpr int64_t kRows = 32;  // rows of a weight processed side by side: a tile is [column][row]
constexpr int kVectors = kRows / kLanes;
constexpr int64_t kDepth = 256;  // columns summed before the next output column: they stay in the L1 cache

// t[j] += sum of e[k] * a[j * stride + k] over k < depth, for `columns` (even) columns j of a tile.
BITWRIGHT_INLINE void accumulate(float* t, const float* e, const float* a, int64_t stride, int64_t columns,
                                 int64_t depth) {
  for (int64_t k0 = 0; k0 < depth; k0 += kDepth)
    for (int64_t j = 0; j < columns; j += 2) {
      Floats sum[2][kVectors];  // loaded as vectors, not by memcpy, so that they stay in registers
      for (int v = 0; v < kVectors; v++) {
        sum[0][v] = load(t + j * kRows + v * kLanes);
        sum[1][v] = load(t + (j + 1) * kRows + v * kLanes);
      }
      const float *first = a + j * stride, *second = first + stride;
      for (int64_t k = k0; k < std::min(k0 + kDepth, depth); k++) {
        for (int v = 0; v < kVectors; v++) {
          const Floats column = load(e + k * kRows + v * kLanes);
          sum[0][v] += column * first[k];
          sum[1][v] += column * second[k];
        }
      }
      for (int v = 0; v < kVectors; v++) {
        store(t + j * kRows + v * kLanes, sum[0][v]);
        store(t + (j + 1) * kRows + v * kLanes, sum[1][v]);
      }
    }
}

// Factors the symmetric a (n, n) as F' D F in place, reading its lower triangle: D is on the diagonal and the unit lower
// triangular F below it (a Cholesky decomposition from the last row up). What is above the diagonal is unspecified.
// False when a is not positive definite. n is a multiple of 16.
static bool factor(float* a, int64_t n, Pool& pool) {
  constexpr int64_t kBlock = 64;
  std::vector<float> scaled(kBlock * n);  // D F of a block's rows
  for (int64_t end = n, begin; end > 0; end = begin) {
    begin = (end - 1) / kBlock * kBlock;
    for (int64_t j = end - 1; j >= begin; j--) {  // the block on the diagonal
      float* row = a + j * n;
      if (!(row[j] > 0.f) || !std::isfinite(row[j])) return false;
      for (int64_t i = begin; i < j; i++) {
        const float f = row[i] / row[j];
        for (int64_t c = begin; c <= i; c++) a[i * n + c] -= f * row[c];
      }
      for (int64_t i = begin; i < j; i++) row[i] /= row[j];
    }
    pool.parallel_for(begin / kBlock, 1, [&](int64_t from, int64_t to, int) {  // left of it
      for (int64_t c = from * kBlock; c < to * kBlock; c += kLanes)
        for (int64_t j = end - 1; j >= begin; j--) {
          Floats sum = load(a + j * n + c);
          for (int64_t i = end - 1; i > j; i--) sum -= a[i * n + j] * load(&scaled[(i - begin) * n + c]);
          store(&scaled[(j - begin) * n + c], sum);
          store(a + j * n + c, sum / a[j * n + j]);
        }
    });
    pool.parallel_for(begin / 4, 4, [&](int64_t from, int64_t to, int) {  // above it
      for (int64_t i = from * 4; i < to * 4; i += 4)
        for (int64_t c = 0; c < i + 4; c += 2 * kLanes) {
          Floats sum[4][2];
          for (int r = 0; r < 4; r++)
            for (int v = 0; v < 2; v++) sum[r][v] = load(a + (i + r) * n + c + v * kLanes);
          for (int64_t j = end - 1; j >= begin; j--) {
            const float* u = &scaled[(j - begin) * n + c];
            const Floats both[2] = {load(u), load(u + kLanes)};
            for (int r = 0; r < 4; r++)
              for (int v = 0; v < 2; v++) sum[r][v] -= a[j * n + i + r] * both[v];
          }
          for (int r = 0; r < 4; r++)
            for (int v = 0; v < 2; v++) store(a + (i + r) * n + c + v * kLanes, sum[r][v]);
        }
    });
  }
  return true;
}

// The inverse (S, S) of the leading block of a positive definite a, by Gauss-Jordan elimination.
template <int S>
BITWRIGHT_INLINE void invert(const float* a, int64_t stride, float* inverse) {
  double left[S][S], right[S][S];
  for (int i = 0; i < S; i++)
    for (int k = 0; k < S; k++) left[i][k] = a[i * stride + k], right[i][k] = i == k;
  for (int p = 0; p < S; p++) {
    const double scale = 1.0 / left[p][p];
    for (int k = 0; k < S; k++) left[p][k] *= scale, right[p][k] *= scale;
    for (int i = 0; i < S; i++) {
      const double factor = left[i][p];
      for (int k = 0; k < S && i != p; k++) left[i][k] -= factor * left[p][k], right[i][k] -= factor * right[p][k];
    }
  }
  for (int i = 0; i < S * S; i++) inverse[i] = static_cast<float>(right[i / S][i % S]);
}
