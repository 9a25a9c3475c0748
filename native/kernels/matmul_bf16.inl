// Products of BF16 weights by the CPU's dot product of bfloat16 (vdpbf16ps): inputs are rounded to bfloat16 too, and a
// lane adds the products of two columns to a sum in float32. A packed panel holds its columns two by two, each time the
// pairs of kPanelRows rows; a zero follows an odd number of columns. Sums are those of matmul_float.inl: 64 columns in
// order, then four such sums (a piece), and pieces are added to y. Decode and prefill run the same code, so they give the
// same floats.

constexpr int kPairTokens = 12;                   // 24 sums: a dot product takes 6 to 7 cycles, and two start in each
constexpr int64_t kPairBlock = 20 * kPairTokens;  // see kTokenBlock
constexpr int64_t kColumnBytes = kPanelRows * 2;  // of a panel

inline int64_t even(int64_t columns) { return columns + columns % 2; }
inline int64_t pair_panel_bytes(int64_t columns) { return even(columns) * kColumnBytes; }

// The nearest bfloat16, ties to even. NaN stays NaN.
inline bf16_t nearest_bf16(float v) {
  const uint32_t bits = bits_from_float(v), rounded = bits + 0x7fff + (bits >> 16 & 1);
  return bf16_t(((bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : rounded) >> 16);
}

inline void load_pairs(const float* x, int64_t columns, bf16_t* rounded) {
  for (int64_t c = 0; c < columns; ++c) rounded[c] = nearest_bf16(x[c]);
  if (columns % 2) rounded[columns] = 0;
}

inline void pack_pairs(const Weight& w, uint8_t* packed, int64_t begin, int64_t end) {
  for (int64_t row = begin * kPanelRows; row < end * kPanelRows; ++row) {
    uint8_t* out = packed + row / kPanelRows * pair_panel_bytes(w.columns) + row % kPanelRows * 4;
    const uint8_t* file = w.file + row * w.columns * 2;
    for (int64_t c = 0; c < w.columns; c += 2, out += 2 * kColumnBytes) {
      bf16_t pair[2] = {};
      if (row < w.rows) __builtin_memcpy(pair, file + 2 * c, 2);
      if (row < w.rows && c + 1 < w.columns) __builtin_memcpy(pair + 1, file + 2 * c + 2, 2);
      __builtin_memcpy(out, pair, 4);
    }
  }
}

BITWRIGHT_INLINE Floats add_pair(Floats sum, Bytes weights, const bf16_t* x) {
  int32_t two;
  __builtin_memcpy(&two, x, 4);
  const Ints pair = splat_int(two);
#ifdef BITWRIGHT_EMULATE_VNNI
  return emulated_dpbf16_ps(sum, weights, pair);
#else
  sum = (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)weights, (__m512bh)pair);
  asm("" : "+v"(sum));  // GCC would load all operands first, and spill them
  return sum;
#endif
}

// Adds the products of the columns [begin, end).
template <int kTokens>
BITWRIGHT_INLINE void add_pairs(FloatSums<kTokens>& sums, const uint8_t* panel, const bf16_t* x, int64_t x_stride,
                                int64_t begin, int64_t end) {
  for (int64_t c = begin; c < end; c += 2) {
    const uint8_t* const at = panel + c * kColumnBytes;
    sums.each([&](Floats& sum, int r, int t)
                  BITWRIGHT_FORCE { sum = add_pair(sum, load(at + r * kVector), x + t * x_stride + c); });
  }
}

// kPanelRows rows by kTokens tokens over the columns [first, last), added to y (column 0 starts it).
template <int kTokens>
void pair_tile(const uint8_t* panel, const bf16_t* x, int64_t x_stride, int64_t first, int64_t last, int64_t rows,
               float* y, int64_t stride, Ahead ahead) {
  for (int t = 0; t < kTokens; ++t) __builtin_prefetch(y + t * stride);
  for (int64_t piece = first; piece < last; piece += kFloatPiece) {
    const int64_t end = smaller(piece + kFloatPiece, last);
    FloatSums<kTokens> total;
    for (int64_t group = piece; group < end; group += kFloatGroup) {
      for (const uint8_t* to = ahead.at + ahead.bytes; ahead.at < to; ahead.at += 64)
        __builtin_prefetch(ahead.at, 0, 2);
      FloatSums<kTokens> sums;
      add_pairs(sums, panel, x, x_stride, group, smaller(group + kFloatGroup, end));
      total.add(sums);
    }
    total.store(piece == 0, rows, y, stride);
  }
}

// x (tokens, even columns). Decode takes a panel from end to end, prefill a piece of every panel for a block of tokens.
template <bool kDecode>
void multiply_pairs(const Weight& w, const bf16_t* x, int64_t tokens, float* y, int64_t stride, int64_t begin,
                    int64_t end) {
  const int64_t x_stride = even(w.columns), most = kDecode ? w.columns : kFloatPiece;
  for (int64_t token = 0; token < tokens; token += kPairBlock) {
    const int64_t block_end = smaller(token + kPairBlock, tokens);
    for (int64_t first = 0; first < w.columns; first += most) {
      const int64_t last = smaller(first + most, w.columns);
      for (int64_t panel = begin; panel < end; ++panel) {
        const int64_t row = panel * kPanelRows;
        const uint8_t* const packed = w.packed + panel * pair_panel_bytes(w.columns);
        Ahead ahead;  // each of the first tiles fetches half of the next panel
        if (!kDecode && panel + 1 < end)
          ahead = {packed + pair_panel_bytes(w.columns) + first * kColumnBytes, kFloatGroup / 2 * kColumnBytes};
        int64_t t = token;
        auto tiles = [&]<int kTokens>() {
          for (; t + kTokens <= block_end; t += kTokens) {
            pair_tile<kTokens>(packed, x + t * x_stride, x_stride, first, last, w.rows - row, y + t * stride + row,
                               stride, ahead);
            if (t > token) ahead.bytes = 0;
            ahead.at += (last - first) / kFloatGroup * ahead.bytes;
          }
        };
        tiles.template operator()<kDecode ? 4 : kPairTokens>();
        tiles.template operator()<2>();
        tiles.template operator()<1>();
      }
    }
  }
}

// The limit: the inner loop of a prefill tile, on operands in the first cache. Returns the operations done, as
// limits.inl does.
inline int64_t pair_dots(int64_t rounds) {
  struct {
    alignas(64) uint8_t panel[kFloatGroup * kColumnBytes];
    bf16_t x[kPairTokens][kFloatGroup];
  } operands = {};
  FloatSums<kPairTokens> sums, result;
  const auto* at = &operands;
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+r"(at) : : "memory");  // the compiler can neither know the operands nor keep them
    add_pairs(sums, at->panel, at->x[0], kFloatGroup, 0, kFloatGroup);
  }
  result.add(sums);
  asm volatile("" : : "r"(&result) : "memory");
  return rounds * kPairTokens * kPanelRows * kFloatGroup * 2;
}
