// Dense algebra that sums in one fixed order and fuses nothing: the bits do not depend on the thread count or the
// instruction set. Matrices are row-major float32.

constexpr int64_t kRows = 32;  // rows of a weight processed side by side: a tile is [column][row]
constexpr int kVectors = kRows / kLanes;
constexpr int64_t kDepth = 128;  // columns summed before the next output column: they stay in the L1 cache
constexpr int64_t kLine = 16;    // floats in a cache line

// t[j * t_stride] += sum of e[k] * a[j * stride + k] over k < depth, for `columns` (even) columns j; each t and e is kRows
// values. depth is a multiple of kLine. Pieces of a's rows are too short for the hardware to foresee the next ones.
static void accumulate(float* t, int64_t t_stride, const float* e, const float* a, int64_t stride, int64_t columns,
                       int64_t depth) {
  for (int64_t k0 = 0; k0 < depth; k0 += kDepth) {
    const int64_t k1 = std::min(k0 + kDepth, depth);
    for (int64_t j = 0; j < columns; j += 2) {
      float *own = t + j * t_stride, *other = own + t_stride;
      const float *first = a + j * stride, *second = first + stride;
      const float* next = j + 2 < columns ? second + stride : a + kDepth;
      for (int64_t r = 0; r < kRows; r += kLine) {
        __builtin_prefetch(other + t_stride + r, 1);
        __builtin_prefetch(other + 2 * t_stride + r, 1);
      }
      Floats sum[2][kVectors];  // loaded as vectors, not by memcpy, so that they stay in registers
      for (int v = 0; v < kVectors; v++) {
        sum[0][v] = load(own + v * kLanes);
        sum[1][v] = load(other + v * kLanes);
      }
      for (int64_t line = k0; line < k1; line += kLine) {
        __builtin_prefetch(next + line);
        __builtin_prefetch(next + stride + line);
        for (int64_t k = line; k < line + kLine; k++)
          for (int v = 0; v < kVectors; v++) {
            Floats column = load(e + k * kRows + v * kLanes);
            if constexpr (kLanes == 8) asm("" : "+x"(column));  // GCC would load it twice, and loads are the limit
            sum[0][v] += column * first[k];
            sum[1][v] += column * second[k];
          }
      }
      for (int v = 0; v < kVectors; v++) {
        store(own + v * kLanes, sum[0][v]);
        store(other + v * kLanes, sum[1][v]);
      }
    }
  }
}

// Factors the symmetric a (n, n) as F' D F in place, reading its lower triangle: D is on the diagonal and the unit lower
// triangular F below it (a Cholesky decomposition from the last row up). What is above the diagonal is unspecified.
// False when a is not positive definite. n is a multiple of 16.
static bool factor(float* a, int64_t n, Pool& pool) {
  constexpr int64_t kBlock = kDepth;
  // Of a block's rows, the last first: -D F in tiles [k][kRows], and F as [column][k].
  std::vector<float> scaled(kBlock * n), across(kBlock * n);
  for (int64_t end = n, begin; end > 0; end = begin) {
    begin = (end - 1) / kBlock * kBlock;
    const int64_t depth = end - begin;
    for (int64_t j = end - 1; j >= begin; j--) {  // the block on the diagonal
      float* row = a + j * n;
      if (!(row[j] > 0.f) || !std::isfinite(row[j])) return false;
      for (int64_t i = begin; i < j; i++) {
        const float f = row[i] / row[j];
        for (int64_t c = begin; c <= i; c++) a[i * n + c] -= f * row[c];
      }
      for (int64_t i = begin; i < j; i++) row[i] /= row[j];
    }
    pool.parallel_for(begin / kRows, 1, [&](int64_t from, int64_t to, int) {  // left of it
      for (int64_t c = from * kRows; c < to * kRows; c += kRows)
        for (int64_t k = 0; k < depth; k++) {
          float *row = a + (end - 1 - k) * n, *tile = &scaled[c * kBlock];
          Floats sum[kVectors];
          for (int v = 0; v < kVectors; v++) sum[v] = load(row + c + v * kLanes);
          for (int64_t i = 0; i < k; i++)
            for (int v = 0; v < kVectors; v++)
              sum[v] += load(tile + i * kRows + v * kLanes) * a[(end - 1 - i) * n + end - 1 - k];
          for (int v = 0; v < kVectors; v++) {
            const Floats f = sum[v] / row[end - 1 - k];
            store(tile + k * kRows + v * kLanes, -sum[v]);
            store(row + c + v * kLanes, f);
            for (int lane = 0; lane < kLanes; lane++) across[(c + v * kLanes + lane) * kBlock + k] = f[lane];
          }
        }
    });
    pool.parallel_for(begin / kRows, 1, [&](int64_t from, int64_t to, int) {  // above it
      for (int64_t c = from * kRows; c < to * kRows; c += kRows)
        accumulate(a + c * n + c, n, &scaled[c * kBlock], &across[c * kBlock], kBlock, begin - c, depth);
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
