// Weights that are floats: read as the file has them, converted in registers, multiplied in float32. Lane = column here, so a
// row is a stream of its own; kFloatRows rows by kFloatTokens tokens share their loads. Formats narrower than 16 bits are
// converted a few rows at a time into scratch first.

constexpr int kFloatRows = 4, kFloatTokens = 3;
constexpr int64_t kTokenBlockBytes = 1 << 18;      // of float32 inputs at a time: a share of the second cache

struct LoadFloat {
  static constexpr int bytes = 4;
  static Floats vector(const uint8_t* p) { return Ops::load(reinterpret_cast<const float*>(p)); }
  static float one(const uint8_t* p) { return float_from_bits(load32(p)); }
};
struct LoadHalf {
  static constexpr int bytes = 2;
  static Floats vector(const uint8_t* p) { return Ops::load_half(p); }
  static float one(const uint8_t* p) { return half_to_float(half_t(p[0] | p[1] << 8)); }
};
struct LoadBf16 {
  static constexpr int bytes = 2;
  static Floats vector(const uint8_t* p) { return Ops::load_bf16(p); }
  static float one(const uint8_t* p) { return bf16_to_float(bf16_t(p[0] | p[1] << 8)); }
};

template <class L, int kRows, int kTokens> void float_tile(const uint8_t* w, int64_t row_bytes, const float* x, int64_t columns, float* y, int64_t stride) {
  Floats sums[kRows][kTokens];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) sums[r][t] = Ops::splat(0.0f);
  }
  // Decode waits for memory: the next rows are fetched ahead, short ones in the order they lie in (15% faster with 768 columns).
  const bool narrow = row_bytes <= 2048;
  const uint8_t* next = w + kRows * row_bytes + 2048;
  int64_t c = 0;
  for (; c + kLanes <= columns; c += kLanes) {
    Floats xs[kTokens];
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) xs[t] = Ops::load(x + t * columns + c);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const uint8_t* at = w + r * row_bytes + c * L::bytes;
      if (kTokens == 1 && c * L::bytes % 64 == 0) __builtin_prefetch(narrow ? next + kRows * c * L::bytes + 64 * r : at + kRows * row_bytes);
      const Floats v = L::vector(at);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) sums[r][t] = Ops::fma(v, xs[t], sums[r][t]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTokens; ++t) {
      float sum = Ops::sum(sums[r][t]);
      for (int64_t i = c; i < columns; ++i) sum += L::one(w + r * row_bytes + i * L::bytes) * x[t * columns + i];
      y[t * stride + r] = sum;
    }
  }
}

template <class L, int kRows> void float_rows(const uint8_t* w, int64_t row_bytes, const float* x, int64_t tokens, int64_t columns, float* y, int64_t stride) {
  int64_t t = 0;
  for (; t + kFloatTokens <= tokens; t += kFloatTokens) float_tile<L, kRows, kFloatTokens>(w, row_bytes, x + t * columns, columns, y + t * stride, stride);
  for (; t < tokens; ++t) float_tile<L, kRows, 1>(w, row_bytes, x + t * columns, columns, y + t * stride, stride);
}

// Rows [first, last) of a matrix whose row r begins at w + (r - first) * row_bytes.
template <class L> void float_matrix(const uint8_t* w, int64_t row_bytes, int64_t first, int64_t last, const Input& in, int64_t token, int64_t tokens, float* y, int64_t stride) {
  const float* x = in.values + token * in.columns;
  y += token * stride;
  int64_t r = first;
  for (; r + kFloatRows <= last; r += kFloatRows) float_rows<L, kFloatRows>(w + (r - first) * row_bytes, row_bytes, x, tokens, in.columns, y + r, stride);
  for (; r < last; ++r) float_rows<L, 1>(w + (r - first) * row_bytes, row_bytes, x, tokens, in.columns, y + r, stride);
}

template <class L> void matmul_float(const Weight& w, const uint8_t* input, int64_t tokens, float* y, int64_t stride, int64_t begin, int64_t end, uint8_t*) {
  const Input in(input, tokens, w.columns);
  const int64_t row_bytes = w.columns * L::bytes, first = begin * kPanelRows, last = smaller(end * kPanelRows, w.rows);
  int64_t block = kTokenBlockBytes / (4 * w.columns + 1) / kFloatTokens * kFloatTokens;
  if (block < kFloatTokens) block = kFloatTokens;
  for (int64_t t = 0; t < tokens; t += block) float_matrix<L>(w.file + first * row_bytes, row_bytes, first, last, in, t, smaller(block, tokens - t), y, stride);
}

inline void matmul_converted(const Weight& w, const uint8_t* input, int64_t tokens, float* y, int64_t stride, int64_t begin, int64_t end, uint8_t* scratch) {
  const Input in(input, tokens, w.columns);
  const int64_t bytes = row_bytes(w.format, w.columns), last = smaller(end * kPanelRows, w.rows);
  float* rows = reinterpret_cast<float*>(scratch);
  for (int64_t r = begin * kPanelRows; r < last; r += kFloatRows) {
    const int64_t count = smaller<int64_t>(kFloatRows, last - r);
    for (int64_t i = 0; i < count; ++i) dequantize(w.format, w.file + (r + i) * bytes, w.columns, rows + i * w.columns);
    float_matrix<LoadFloat>(scratch, 4 * w.columns, r, r + count, in, 0, tokens, y, stride);
  }
}
