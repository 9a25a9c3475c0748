// Float weights, multiplied in float32. A packed panel holds its columns one after the other, each with the values of
// kPanelRows rows as the file stores them. Narrower formats without blocks have no packed form: they are converted to
// float32 on use. Each 64 columns are summed in order, then four such sums (a piece), and pieces are added to y. So
// decode and prefill give the same floats, and the rounding error does not grow with the number of columns.

constexpr int kFloatTokens = Ops::kFloatTokens;
constexpr int64_t kFloatGroup = 64, kFloatPiece = 4 * kFloatGroup,
                  kFloatBlock = 20 * kFloatTokens;            // see kTokenBlock
constexpr int kFloatAhead = Ops::kAheadStep > 64 ? 0 : 1024;  // see kAhead; 0: nothing is prefetched

struct FloatPiece { alignas(64) float values[kFloatPiece][kStrips][kLanes]; };

struct F32 {
  static constexpr int bytes = 4;
  static Floats get(const uint8_t* p) { return load(reinterpret_cast<const float*>(p)); }
};
struct F16 {
  static constexpr int bytes = 2;
  static Floats get(const uint8_t* p) { return load_half(p); }
};
struct BF16 {
  static constexpr int bytes = 2;
  static Floats get(const uint8_t* p) { return load_bf16(p); }
};
struct Narrow {
  static constexpr int bytes = 0;  // per packed value
};

// Calls f.template operator()<F>() with one of the structs above; false when the format has blocks.
template <class Fn> bool with_float_format(FormatId id, Fn&& f) {
  if (id == FormatId::f32)
    f.template operator()<F32>();
  else if (id == FormatId::f16)
    f.template operator()<F16>();
  else if (id == FormatId::bf16)
    f.template operator()<BF16>();
  else if (with_block_format(id, []<class F>() {}))
    return false;
  else
    f.template operator()<Narrow>();
  return true;
}

template <class F> constexpr bool is_narrow = F::bytes == 0;
template <class F> int64_t panel_bytes(int64_t columns) { return columns * kPanelRows * F::bytes; }

template <class F> void pack_floats(const Weight& w, uint8_t* packed, int64_t begin, int64_t end) {
  for (int64_t row = begin * kPanelRows; row < end * kPanelRows; ++row) {
    uint8_t* out = packed + row / kPanelRows * panel_bytes<F>(w.columns) + row % kPanelRows * F::bytes;
    const uint8_t* file = w.file + row * w.columns * F::bytes;
    for (int64_t c = 0; c < w.columns; ++c, out += kPanelRows * F::bytes) {
      if (row < w.rows)
        __builtin_memcpy(out, file + c * F::bytes, F::bytes);
      else
        __builtin_memset(out, 0, F::bytes);
    }
  }
}

// Columns [first, first + count) of a panel, in float32.
template <class F> void load_piece(const Weight& w, int64_t panel, int64_t first, int64_t count, FloatPiece& piece) {
  if constexpr (is_narrow<F>) {
    const int64_t rows = smaller<int64_t>(kPanelRows, w.rows - panel * kPanelRows),
                  bytes = row_bytes(w.format, w.columns);
    const uint8_t* at = w.file + panel * kPanelRows * bytes + row_bytes(w.format, first);
    float row[kFloatPiece];
    for (int64_t r = 0; r < rows; ++r) {  // padding rows keep old values: nothing reads their sums
      dequantize_row(w.format, at + r * bytes, count, row);
      float* const out = &piece.values[0][0][0] + r;
      for (int64_t c = 0; c < count; ++c) out[c * kPanelRows] = row[c];
    }
  } else {
    const uint8_t* at = w.packed + panel * panel_bytes<F>(w.columns) + first * kPanelRows * F::bytes;
    for (int64_t c = 0; c < count; ++c) {
      for (int r = 0; r < kStrips; ++r, at += kLanes * F::bytes) store(piece.values[c][r], F::get(at));
    }
  }
}

// Sums of kPanelRows rows by kTokens tokens.
template <int kTokens> struct FloatSums {
  Floats of[kStrips][kTokens];

  BITWRIGHT_FORCE FloatSums() {
    each([](Floats& sum, int, int) { sum = Floats{}; });
  }
  template <class Fn> BITWRIGHT_FORCE void each(Fn f) {
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
      for (int r = 0; r < kStrips; ++r) f(of[r][t], r, t);
    }
  }
  BITWRIGHT_FORCE void add(const FloatSums& more) {
    each([&](Floats& sum, int r, int t) { sum += more.of[r][t]; });
  }
  // Starts y, or adds to it.
  void store(bool start, int64_t rows, float* y, int64_t stride) {
    each([&](Floats& sum, int r, int t) {
      float* const at = y + t * stride + r * kLanes;
      const int64_t left = rows - r * kLanes;
      if (left > 0) store_rows(at, start ? sum : load_rows(at, left) + sum, left);
    });
  }
};

template <int kTokens> void float_tile(const FloatPiece& piece, const float* x, int64_t columns, int64_t first,
                                       int64_t count, int64_t rows, float* y, int64_t stride, Ahead ahead) {
  FloatSums<kTokens> total;
  for (int t = 0; t < kTokens; ++t) __builtin_prefetch(y + t * stride);
  for (int64_t group = 0; group < count; group += kFloatGroup) {
    for (const uint8_t* end = ahead.at + ahead.bytes; ahead.at < end; ahead.at += 64)
      __builtin_prefetch(ahead.at, 0, 2);
    FloatSums<kTokens> sums;
    for (int64_t c = group, end = smaller(group + kFloatGroup, count); c < end; ++c) {
      const float* const at = x + first + c;
      sums.each([&](Floats& sum, int r, int t)
                    BITWRIGHT_FORCE { sum = fma(load(piece.values[c][r]), splat(at[t * columns]), sum); });
    }
    total.add(sums);
  }
  total.store(first == 0, rows, y, stride);
}

template <class F> void prefill_floats(const Weight& w, const uint8_t* input, int64_t tokens, float* y, int64_t stride,
                                       int64_t begin, int64_t end, uint8_t* scratch) {
  const Input in(input, tokens, w.columns);
  FloatPiece& piece = *reinterpret_cast<FloatPiece*>((reinterpret_cast<uintptr_t>(scratch) + 63) / 64 * 64);
  const int64_t block = is_narrow<F> ? tokens : kFloatBlock;  // narrow formats are converted only once
  for (int64_t token = 0; token < tokens; token += block) {
    const int64_t last = smaller(token + block, tokens);
    for (int64_t first = 0; first < w.columns; first += kFloatPiece) {
      const int64_t count = smaller(kFloatPiece, w.columns - first);
      for (int64_t panel = begin; panel < end; ++panel) {
        const int64_t row = panel * kPanelRows, rows = w.rows - row;
        load_piece<F>(w, panel, first, count, piece);
        Ahead ahead;  // each of the first tiles fetches half of the next panel
        if constexpr (!is_narrow<F>) {
          if (panel + 1 < end)
            ahead = {w.packed + (panel + 1) * panel_bytes<F>(w.columns) + first * kPanelRows * F::bytes,
                     kFloatGroup / 2 * kPanelRows * F::bytes};
        }
        int64_t t = token;
        auto tiles = [&]<int kTokens>() {
          for (; t + kTokens <= last; t += kTokens) {
            float_tile<kTokens>(piece, in.values + t * w.columns, w.columns, first, count, rows, y + t * stride + row,
                                stride, ahead);
            if (t > token) ahead.bytes = 0;
            ahead.at += count / kFloatGroup * ahead.bytes;
          }
        };
        tiles.template operator()<kFloatTokens>();
        tiles.template operator()<2>();
        tiles.template operator()<1>();
      }
    }
  }
}

template <class F, int kTokens> void decode_panel(const uint8_t* panel, const float* x, int64_t columns, int64_t rows,
                                                  float* y, int64_t stride) {
  constexpr int kBytes = kPanelRows * F::bytes;  // per column
  for (int64_t first = 0; first < columns; first += kFloatPiece) {
    FloatSums<kTokens> total;
    for (int64_t group = first, last = smaller(first + kFloatPiece, columns); group < last; group += kFloatGroup) {
      FloatSums<kTokens> sums;
      for (int64_t c = group, end = smaller(group + kFloatGroup, last); c < end; ++c) {
        const uint8_t* const at = panel + c * kBytes;
        if constexpr (kFloatAhead > 0)
          for (int i = 0; i < kBytes; i += 64) __builtin_prefetch(at + i + kFloatAhead);
        sums.each([&](Floats& sum, int r, int t) BITWRIGHT_FORCE {
          sum = fma(F::get(at + r * kLanes * F::bytes), splat(x[t * columns + c]), sum);
        });
      }
      total.add(sums);
    }
    total.store(first == 0, rows, y, stride);
  }
}

template <class F> void decode_floats(const Weight& w, const uint8_t* input, int64_t tokens, float* y, int64_t stride,
                                      int64_t begin, int64_t end, uint8_t* scratch) {
  if constexpr (is_narrow<F>) {
    prefill_floats<F>(w, input, tokens, y, stride, begin, end, scratch);
  } else {
    const Input in(input, tokens, w.columns);
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t row = panel * kPanelRows;
      const uint8_t* packed = w.packed + panel * panel_bytes<F>(w.columns);
      int64_t t = 0;
      auto some = [&]<int kTokens>() {
        for (; t + kTokens <= tokens; t += kTokens)
          decode_panel<F, kTokens>(packed, in.values + t * w.columns, w.columns, w.rows - row, y + t * stride + row,
                                   stride);
      };
      some.template operator()<4>();
      some.template operator()<2>();
      some.template operator()<1>();
    }
  }
}
