// Prefill of block formats: a piece of a panel is unpacked to bytes and float32 scales, which stay in the L1 cache while
// every token uses them. The sums are those of matmul_integer.inl, in the same order.

struct Piece {
  alignas(64) uint8_t codes[kPieceGroups][8][kStrips][kVector];
  alignas(64) float scales[kPieceGroups][2][kStrips][kLanes], mins[kPieceGroups][2][kStrips][kLanes];
};

// Unpacks `count` groups of a strip, from `first` on, into place r of the piece.
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
    for (int k = 0; k < 8; ++k) store(piece.codes[g][k][r], w[k]);
    for (int s = 0; s < L::subs; ++s) {
      store(piece.scales[g][s][r], scale[s]);
      if constexpr (L::has_min) store(piece.mins[g][s][r], min[s]);
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
    Ints p[kStrips][kTokens];
#pragma GCC unroll 4
    for (int r = 0; r < kStrips; ++r) {
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) p[r][t] = Ops::kDirect ? sum[r][t] : Ints{};
    }
#pragma GCC unroll 8
    for (int i = k; i < k + run; ++i) {
      Bytes w[kStrips];
#pragma GCC unroll 4
      for (int r = 0; r < kStrips; ++r) w[r] = load(codes[i][r]);
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

// The same, two rows and two tokens at a time (Ops::kMatrix).
template <class O, int kTokens, int kCount> BITWRIGHT_INLINE void matrix_dot(const uint8_t (*codes)[kStrips][kVector],
                                                                             const int8_t* const* x,
                                                                             Ints (&sum)[kStrips][kTokens]) {
  Ints first[kStrips][kTokens / 2], last[kStrips][kTokens / 2];
  for (int r = 0; r < kStrips; ++r) {
    for (int t = 0; t < kTokens / 2; ++t) first[r][t] = last[r][t] = Ints{};
  }
#pragma GCC unroll 8
  for (int k = 0; k < kCount; k += 2) {
    Bytes tokens[kTokens / 2];
#pragma GCC unroll 8
    for (int t = 0; t < kTokens / 2; ++t) tokens[t] = O::tokens(x[2 * t] + 4 * k, x[2 * t + 1] + 4 * k);
#pragma GCC unroll 8
    for (int r = 0; r < kStrips; ++r) {
      const Bytes a = load(codes[k][r]), b = load(codes[k + 1][r]);
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

// What is prefetched while a tile is computed: `bytes` for every group, from `at` on.
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
      sums[r][t] = group ? load_rows(y + t * stride + r * kLanes, rows - r * kLanes) : Floats{};
  }
  const ColumnGroup* info[kTokens];
  const int8_t* x[kTokens];
  for (int t = 0; t < kTokens; ++t) {
    info[t] = in.infos + (token + t) * in.groups + group;
    x[t] = in.codes + ((token + t) * in.groups + group) * 32;
    for (int r = 0; r < kPanelRows; r += 16)
      __builtin_prefetch(y + t * stride + r);  // a store that misses the cache delays what follows
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
        for (int r = 0; r < kStrips; ++r) dots[r][t] = splat_int(-S::offset * info[t]->sums[S::which(s)]);
      }
      if constexpr (Ops::kMatrix && kTokens % 2 == 0)
        matrix_dot<Ops, kTokens, kCount>(piece.codes[g] + s * kCount, x, dots);
      else
        tile_dot<S, kTokens, kCount>(piece.codes[g] + s * kCount, x, dots);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
        for (int r = 0; r < kStrips; ++r) {
          sums[r][t] = accumulate<S>(sums[r][t], dots[r][t], load(piece.scales[g][s][r]), load(piece.mins[g][s][r]),
                                     *info[t], s);
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
        for (int k = 0; k < 8; ++k) w[k] = load(piece.codes[g][k][r]);
#pragma GCC unroll 2
        for (int s = 0; s < S::subs; ++s) scale[s] = load(piece.scales[g][s][r]), min[s] = load(piece.mins[g][s][r]);
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

// All panels use a block of tokens before the next block. Its size lets the inputs of a piece stay in the L2 cache.
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
