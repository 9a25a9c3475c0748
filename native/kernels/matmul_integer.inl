// The integer dot product of block formats: y += scale * (sum of code * x) + min * (sum of x), group by group of 32 columns.
// Lane = row throughout: four bytes of x are broadcast to all rows, so that nothing is summed across a vector.
// Decode and prefill add in the same order, so they give the same floats.

#define BITWRIGHT_INLINE inline __attribute__((always_inline))
#define BITWRIGHT_LAMBDA __attribute__((always_inline))

// What of a format still matters once its codes are bytes; formats that agree here share one tile.
template <int kHighest, bool kFull, int kSubColumns, int kOffset, bool kHasMin> struct Shape {
  static constexpr int highest = kHighest, offset = kOffset, subs = 32 / kSubColumns,
                       count = 8 / subs;  // count: vectors of a sub-group
  static constexpr bool full = kFull, has_min = kHasMin;
  static constexpr int which(int s) { return subs == 1 ? 0 : 1 + s; }  // of a group's sums
};
template <class F> using ShapeOf =
    Shape<F::highest, F::full && Ops::kFullOffset == 0, F::sub_columns, Layout<F>::offset, Layout<F>::has_min>;

// The dot product of a sub-group's vectors of codes with as many columns of x, less what the codes' offset adds.
template <class S, class O = Ops> BITWRIGHT_INLINE Ints dot(const Bytes* w, const int8_t* x, int32_t x_sum) {
  constexpr int kCount = S::count, run = O::kDirect ? kCount : smaller(O::run(S::highest, S::full), kCount);
  Ints sum = O::splat(-S::offset * x_sum);
  auto part = [&](int first) BITWRIGHT_LAMBDA {
    typename O::Partial p{};
    if constexpr (O::kDirect) p = sum;
#pragma GCC unroll 8
    for (int k = first; k < first + run; ++k) p = O::template step<S::full>(p, w[k], x + 4 * k);
    sum = O::flush(sum, p);
  };
  part(0);
  if constexpr (run < kCount) {
#pragma GCC unroll 8
    for (int k = run; k < kCount; k += run) part(k);
  }
  return sum;
}

// y and the share of sub-group s: its dot product, scaled, and its min times the sum of x.
template <class S> BITWRIGHT_INLINE Floats accumulate(Floats y, Ints sum, Floats scale, Floats min,
                                                      const ColumnGroup& info, int s) {
  y = Ops::fma(Ops::to_float(sum), Ops::mul(scale, Ops::splat(info.scale)), y);
  if constexpr (S::has_min) y = Ops::fma(min, Ops::splat(info.totals[S::which(s)]), y);
  return y;
}

// The same for a whole group, its codes in registers.
template <class S> BITWRIGHT_INLINE Floats add_group(Floats y, const Bytes* w, const Floats* scale, const Floats* min,
                                                     const int8_t* x, const ColumnGroup& info) {
#pragma GCC unroll 2
  for (int s = 0; s < S::subs; ++s) {
    const Ints sum = dot<S>(w + s * S::count, x + 4 * s * S::count, info.sums[S::which(s)]);
    y = accumulate<S>(y, sum, scale[s], min[s], info, s);
  }
  return y;
}

// Stores (or reads) one value for each row that exists.
BITWRIGHT_INLINE void store_rows(float* y, Floats value, int64_t rows) {
  if (rows >= kLanes) return Ops::store(y, value);
  float lanes[kLanes];
  Ops::store(lanes, value);
  for (int64_t i = 0; i < rows; ++i) y[i] = lanes[i];
}

BITWRIGHT_INLINE Floats load_rows(const float* y, int64_t rows) {
  if (rows >= kLanes) return Ops::load(y);
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < rows; ++i) lanes[i] = y[i];
  return Ops::load(lanes);
}

// -- decode: each group is unpacked into registers and used for a few tokens at once. The processor's own prefetching stops at
// every page of 4 KiB, which left a core waiting half of the time.

constexpr int kAhead = 4096;

template <class F, int kTokens> void decode_strip(const uint8_t* strip, Input in, int64_t token, int64_t rows, float* y,
                                                  int64_t stride) {
  using L = Layout<F>;
  using S = ShapeOf<F>;
  const uint8_t* codes = strip + L::codes_at(in.groups);
  const Bytes table = code_table<F>();
  Floats sums[kTokens], scale[L::subs], min[L::subs] = {};
  Bytes w[8];
  for (Floats& s : sums) s = Ops::splat(0.0f);
  ScaleReader<F> reader(strip);
  for (int64_t piece = 0; piece < in.pieces; ++piece) {
    const int64_t last = smaller((piece + 1) * kPieceGroups, in.groups);
    for (int64_t g = piece * kPieceGroups; g < last; ++g) {
      if (g % L::block_groups == 0) reader.block();
      reader.group(scale, min);
      for (int i = 0; i < L::code_bytes; i += 64) __builtin_prefetch(codes + g * L::code_bytes + i + kAhead);
      __builtin_prefetch(reader.at + L::strip_bytes(in.groups));
      unpack_codes<F>(codes + g * L::code_bytes, table, w);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) {
        const int64_t at = (token + t) * in.groups + g;
        sums[t] = add_group<S>(sums[t], w, scale, min, in.codes + at * 32, in.infos[at]);
      }
    }
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      for (int64_t at = ((token + t) * in.pieces + piece) * kFine, end = at + kFine; at < end; ++at) {
        const ColumnGroup& fine = in.fine[at];
        ScaleReader<F>(strip, fine.group).group(scale, min);
        unpack_codes<F>(codes + fine.group * L::code_bytes, table, w);
        sums[t] = add_group<S>(sums[t], w, scale, min, in.fine_codes + at * 32, fine);
      }
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

// -- prefill: a piece of a panel is unpacked to bytes and float32 scales that stay in the first cache, and used for every token

struct Piece {
  alignas(64) uint8_t codes[kPieceGroups][8][kStrips][kVector];
  alignas(64) float scales[kPieceGroups][2][kStrips][kLanes], mins[kPieceGroups][2][kStrips][kLanes];
};

// `count` groups of a strip from `first` on, into place r of the piece.
template <class F> void unpack_piece(const uint8_t* strip, int64_t groups, int64_t first, int64_t count, int r,
                                     Piece& piece) {
  using L = Layout<F>;
  const Bytes table = code_table<F>();
  const uint8_t* codes = strip + L::codes_at(groups) + first * L::code_bytes;
  ScaleReader<F> reader(strip + first / L::block_groups * L::scale_bytes);
  for (int64_t g = 0; g < count; ++g) {
    if (g % L::block_groups == 0) reader.block();
    Floats scale[L::subs], min[L::subs];
    Bytes w[8];
    reader.group(scale, min);
    unpack_codes<F>(codes + g * L::code_bytes, table, w);
    for (int k = 0; k < 8; ++k) Ops::store(piece.codes[g][k][r], w[k]);
    for (int s = 0; s < L::subs; ++s) {
      Ops::store(piece.scales[g][s][r], scale[s]);
      if constexpr (L::has_min) Ops::store(piece.mins[g][s][r], min[s]);
    }
  }
}

// Sums of one sub-group: kStrips x kTokens dot products of kCount vectors from vector `first` on.
template <class S, int kTokens, int kCount> BITWRIGHT_INLINE void tile_dot(const uint8_t (*codes)[kStrips][kVector],
                                                                           const int8_t* const* x,
                                                                           Ints (&sum)[kStrips][kTokens]) {
  constexpr int run = Ops::kDirect ? kCount : smaller(Ops::run(S::highest, S::full), kCount);
#pragma GCC unroll 8
  for (int k = 0; k < kCount; k += run) {
    typename Ops::Partial p[kStrips][kTokens];
#pragma GCC unroll 4
    for (int r = 0; r < kStrips; ++r) {
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        if constexpr (Ops::kDirect)
          p[r][t] = sum[r][t];
        else
          p[r][t] = typename Ops::Partial{};
      }
    }
#pragma GCC unroll 8
    for (int i = k; i < k + run; ++i) {
      Bytes w[kStrips];
#pragma GCC unroll 4
      for (int r = 0; r < kStrips; ++r) w[r] = Ops::load(codes[i][r]);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
        for (int r = 0; r < kStrips; ++r) p[r][t] = Ops::template step<S::full>(p[r][t], w[r], x[t] + 4 * i);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kStrips; ++r) {
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) sum[r][t] = Ops::flush(sum[r][t], p[r][t]);
    }
  }
}

// The same by two rows and two tokens at a time (Ops::kMatrix).
template <class O, int kTokens, int kCount> BITWRIGHT_INLINE void matrix_dot(const uint8_t (*codes)[kStrips][kVector],
                                                                             const int8_t* const* x,
                                                                             Ints (&sum)[kStrips][kTokens]) {
  Ints first[kStrips][kTokens / 2], last[kStrips][kTokens / 2];
  for (int r = 0; r < kStrips; ++r) {
    for (int t = 0; t < kTokens / 2; ++t) first[r][t] = last[r][t] = Ops::splat(0);
  }
#pragma GCC unroll 8
  for (int k = 0; k < kCount; k += 2) {
    Bytes tokens[kTokens / 2];
#pragma GCC unroll 8
    for (int t = 0; t < kTokens / 2; ++t) tokens[t] = O::tokens(x[2 * t] + 4 * k, x[2 * t + 1] + 4 * k);
#pragma GCC unroll 8
    for (int r = 0; r < kStrips; ++r) {
      const Bytes a = Ops::load(codes[k][r]), b = Ops::load(codes[k + 1][r]);
      const Bytes first_rows = O::first_rows(a, b), last_rows = O::last_rows(a, b);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens / 2; ++t) {
        first[r][t] = O::matrix(first[r][t], first_rows, tokens[t]);
        last[r][t] = O::matrix(last[r][t], last_rows, tokens[t]);
      }
    }
  }
  for (int r = 0; r < kStrips; ++r) {
    for (int t = 0; t < kTokens / 2; ++t) {
      sum[r][2 * t] = O::first_token(sum[r][2 * t], first[r][t], last[r][t]);
      sum[r][2 * t + 1] = O::last_token(sum[r][2 * t + 1], first[r][t], last[r][t]);
    }
  }
}

// What memory is asked for while a tile is computed: for every group `bytes` more, from `at` on.
struct Ahead {
  const uint8_t* at = nullptr;
  int64_t bytes = 0;
};

// kPanelRows rows by kTokens tokens over the columns of a piece, added to y (the first piece starts it).
template <class S, int kTokens> void tile(const Piece& piece, Input in, int64_t token, int64_t group, int64_t count,
                                          int64_t rows, float* y, int64_t stride, Ahead ahead) {
  Floats sums[kStrips][kTokens];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
    for (int r = 0; r < kStrips; ++r)
      sums[r][t] = group ? load_rows(y + t * stride + r * kLanes, rows - r * kLanes) : Ops::splat(0.0f);
  }
  const ColumnGroup* info[kTokens];
  const int8_t* x[kTokens];
  for (int t = 0; t < kTokens; ++t) {
    info[t] = in.infos + (token + t) * in.groups + group;
    x[t] = in.codes + ((token + t) * in.groups + group) * 32;
    for (int r = 0; r < kPanelRows; r += 16)
      __builtin_prefetch(y + t * stride + r);  // a store without its line holds up what follows
  }
  for (int64_t g = 0; g < count; ++g) {
    for (const uint8_t* end = ahead.at + ahead.bytes; ahead.at < end; ahead.at += 64)
      __builtin_prefetch(ahead.at, 0, 2);
#pragma GCC unroll 2
    for (int s = 0; s < S::subs; ++s) {
      constexpr int kCount = S::count;
      Ints dots[kStrips][kTokens];
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
        for (int r = 0; r < kStrips; ++r) dots[r][t] = Ops::splat(-S::offset * info[t]->sums[S::which(s)]);
      }
      if constexpr (Ops::kMatrix && kTokens % 2 == 0)
        matrix_dot<Ops, kTokens, kCount>(piece.codes[g] + s * kCount, x, dots);
      else
        tile_dot<S, kTokens, kCount>(piece.codes[g] + s * kCount, x, dots);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
        for (int r = 0; r < kStrips; ++r) {
          sums[r][t] = accumulate<S>(sums[r][t], dots[r][t], Ops::load(piece.scales[g][s][r]),
                                     Ops::load(piece.mins[g][s][r]), *info[t], s);
        }
      }
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) x[t] += 4 * kCount;
    }
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) ++info[t];
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
    for (int64_t at = ((token + t) * in.pieces + group / kPieceGroups) * kFine, end = at + kFine; at < end; ++at) {
      const ColumnGroup& fine = in.fine[at];
      const int64_t g = fine.group - group;
#pragma GCC unroll 4
      for (int r = 0; r < kStrips; ++r) {
        Bytes w[8];
        Floats scale[S::subs], min[S::subs];
#pragma GCC unroll 8
        for (int k = 0; k < 8; ++k) w[k] = Ops::load(piece.codes[g][k][r]);
#pragma GCC unroll 2
        for (int s = 0; s < S::subs; ++s)
          scale[s] = Ops::load(piece.scales[g][s][r]), min[s] = Ops::load(piece.mins[g][s][r]);
        sums[r][t] = add_group<S>(sums[r][t], w, scale, min, in.fine_codes + at * 32, fine);
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
    for (int r = 0; r < kStrips; ++r) {
      if (rows > r * kLanes) store_rows(y + t * stride + r * kLanes, sums[r][t], rows - r * kLanes);
    }
  }
}

// All panels use a block of tokens before the next: so many that what they have of a piece stays in the second cache.
constexpr int64_t kTokenBlock = 64 / Ops::kTokens * Ops::kTokens;

template <class F> void prefill_integer(const Weight& w, const uint8_t* input, int64_t tokens, float* y, int64_t stride,
                                        int64_t begin, int64_t end, uint8_t* scratch) {
  using L = Layout<F>;
  using S = ShapeOf<F>;
  const Input in(input, tokens, w.columns);
  const int64_t strip_bytes = L::strip_bytes(in.groups);
  Piece& piece = *reinterpret_cast<Piece*>((reinterpret_cast<uintptr_t>(scratch) + 63) / 64 * 64);
  for (int64_t token = 0; token < tokens; token += kTokenBlock) {
    const int64_t last = smaller(token + kTokenBlock, tokens);
    for (int64_t group = 0; group < in.groups; group += kPieceGroups) {
      const int64_t count = smaller<int64_t>(kPieceGroups, in.groups - group);
      for (int64_t panel = begin; panel < end; ++panel) {
        const int64_t row = panel * kPanelRows, rows = w.rows - row;
        const uint8_t* strips = w.packed + panel * kStrips * strip_bytes;
        for (int r = 0; r < kStrips; ++r) unpack_piece<F>(strips + r * strip_bytes, in.groups, group, count, r, piece);
        int64_t t = token, next = panel + 1 < end
                                      ? kStrips
                                      : 2 * kStrips;  // each of the first tiles fetches a strip of the next panel
        auto tiles = [&]<int kTokens>() {
          for (; t + kTokens <= last; t += kTokens, ++next) {
            const Ahead ahead{strips + next * strip_bytes + L::codes_at(in.groups) + group * L::code_bytes,
                              next < 2 * kStrips ? L::code_bytes : 0};
            tile<S, kTokens>(piece, in, t, group, count, rows, y + t * stride + row, stride, ahead);
          }
        };
        tiles.template operator()<Ops::kTokens>();
        tiles.template operator()<2>();
        tiles.template operator()<1>();
      }
    }
  }
}
