// The integer dot product of block formats: y += scale * (sum of code * x) + min * (sum of x), group by group of 32
// columns. A lane is always a row: four bytes of x are broadcast to all rows, so there are no sums across a vector.
// Decode and prefill add in the same order, so they give the same floats: piece by piece (kPieceGroups groups), first all
// its groups, then its fine ones.

constexpr int kPieceGroups = Ops::kPieceGroups;
static_assert(kSpanGroups % kPieceGroups == 0);

// The properties of a format that still matter once its codes are bytes. Formats with equal ones share a tile.
template <int kHighest, bool kFull, int kSubColumns, int kOffset, bool kHasMin> struct Shape {
  static constexpr int highest = kHighest, offset = kOffset, subs = 32 / kSubColumns,
                       count = 8 / subs;  // count: vectors of a sub-group
  static constexpr bool full = kFull, has_min = kHasMin;
  static constexpr int which(int s) { return subs == 1 ? 0 : 1 + s; }  // index into a group's sums
};
template <class F> using ShapeOf =
    Shape<F::highest, F::full && Ops::kFullOffset == 0, F::sub_columns, Layout<F>::offset, Layout<F>::has_min>;

// The dot product of a sub-group's codes with its columns of x, minus what the offset of the codes adds.
template <class S> BITWRIGHT_INLINE Ints dot(const Bytes* w, const int8_t* x, int32_t x_sum) {
  constexpr int kCount = S::count, run = Ops::kDirect ? kCount : smaller(Ops::run(S::highest, S::full), kCount);
  Ints sum = splat_int(-S::offset * x_sum);
  auto part = [&](int first) BITWRIGHT_FORCE {
    Ints p = Ops::kDirect ? sum : Ints{};
#pragma GCC unroll 8
    for (int k = first; k < first + run; ++k) p = Ops::template step<S::full>(p, w[k], x + 4 * k);
    sum = Ops::flush(sum, p);
  };
  part(0);
  if constexpr (run < kCount) {
#pragma GCC unroll 8
    for (int k = run; k < kCount; k += run) part(k);
  }
  return sum;
}

// The scaled dot products of a group up to sub-group s, from those before it.
BITWRIGHT_INLINE Floats add_sub_group(Floats before, Ints dot, Floats scale, int s) {
  return s ? fma(to_floats(dot), scale, before) : to_floats(dot) * scale;
}

// y plus a group: its scaled dot products times the scale of x, and its mins times the sums of x.
template <class S, class Min> BITWRIGHT_INLINE Floats add_group(Floats y, Floats scaled, const ColumnGroup& x,
                                                                Min min) {
  y = fma(scaled, splat(x.scale), y);
  if constexpr (S::has_min) {
#pragma GCC unroll 2
    for (int s = 0; s < S::subs; ++s) y = fma(min(s), splat(x.totals[S::which(s)]), y);
  }
  return y;
}

// Stores (or reads) one value for each row, without the padding rows.
BITWRIGHT_INLINE void store_rows(float* y, Floats value, int64_t rows) {
  if (rows >= kLanes) return store(y, value);
  float lanes[kLanes];
  store(lanes, value);
  for (int64_t i = 0; i < rows; ++i) y[i] = lanes[i];
}

BITWRIGHT_INLINE Floats load_rows(const float* y, int64_t rows) {
  if (rows >= kLanes) return load(y);
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < rows; ++i) lanes[i] = y[i];
  return load(lanes);
}

// -- decode: each group is unpacked into registers and used for a few tokens at once

// y plus a group with its codes in registers.
template <class S> BITWRIGHT_INLINE Floats add_group(Floats y, const Bytes* w, const Floats* scale, const Floats* min,
                                                     const ColumnGroup& x) {
  Floats scaled{};
#pragma GCC unroll 2
  for (int s = 0; s < S::subs; ++s) {
    const Ints sum = dot<S>(w + s * S::count, x.codes + 4 * s * S::count, x.sums[S::which(s)]);
    scaled = add_sub_group(scaled, sum, scale[s], s);
  }
  return add_group<S>(y, scaled, x, [=](int s) BITWRIGHT_FORCE { return min[s]; });
}

// Processors' own prefetching stops at every page of 4 KiB. One line of a page in time is enough for some to go on.
BITWRIGHT_INLINE void fetch(const uint8_t* p, int bytes) {
  for (int i = 0; i < bytes; i += Ops::kAheadStep) __builtin_prefetch(p + i + Ops::kAhead, 0, Ops::kAheadLevel);
}

template <class F, int kTokens> void decode_strip(const uint8_t* strip, Input in, int64_t token, int64_t rows, float* y,
                                                  int64_t stride) {
  using L = Layout<F>;
  using S = ShapeOf<F>;
  const Bytes table = code_table<F>();
  Floats sums[kTokens], scale[L::subs], min[L::subs] = {};
  Bytes w[8];
  for (Floats& s : sums) s = Floats{};
  ScaleReader<F> reader(strip, 0);
  for (int64_t first = 0; first < in.groups; first += kPieceGroups) {
    const int64_t last = smaller(first + kPieceGroups, in.groups);
    for (int64_t g = first; g < last; ++g) {
      const uint8_t* const codes = strip + L::codes_at(g);
      if (g % kChunk == 0) {
        reader = {strip, g};
        fetch(strip + L::chunk_at(g), L::chunk_scales);
      }
      fetch(codes, L::code_bytes);
      reader.group(scale, min);
      unpack_codes<F>(codes, table, w);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t)
        sums[t] = add_group<S>(sums[t], w, scale, min, in.coded[(token + t) * in.groups + g]);
    }
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      in.each_fine(token + t, first, last, [&](const ColumnGroup& fine) BITWRIGHT_FORCE {
        ScaleReader<F>(strip, fine.index).group(scale, min);
        unpack_codes<F>(strip + L::codes_at(fine.index), table, w);
        sums[t] = add_group<S>(sums[t], w, scale, min, fine);
      });
    }
  }
  for (int t = 0; t < kTokens; ++t) store_rows(y + t * stride, sums[t], rows);
}

template <class F> void decode_integer(const Weight& w, const uint8_t* input, int64_t tokens, float* y, int64_t stride,
                                       int64_t begin, int64_t end, uint8_t*) {
  const Input in(input, tokens, w.columns);
  for (int64_t strip = begin * kStrips; strip < end * kStrips; ++strip) {
    const int64_t row = strip * kLanes, rows = w.rows - row;
    if (rows <= 0) break;
    const uint8_t* packed = w.packed + strip * Layout<F>::strip_bytes(in.groups);
    int64_t t = 0;
    for (; t + 4 <= tokens; t += 4) decode_strip<F, 4>(packed, in, t, rows, y + t * stride + row, stride);
    for (; t + 2 <= tokens; t += 2) decode_strip<F, 2>(packed, in, t, rows, y + t * stride + row, stride);
    for (; t < tokens; ++t) decode_strip<F, 1>(packed, in, t, rows, y + t * stride + row, stride);
  }
}
