// Prefill of block formats: a piece of a panel is unpacked to bytes and float32 scales, which stay in the L1 cache while
// every token uses them. The sums are those of matmul_integer.inl, in the same order.

// All panels use a block of tokens before the next block. Its size lets the inputs of a piece stay in the L2 cache.
constexpr int kTileTokens = Ops::kTokens, kTokenBlock = Ops::kTokenBlock / kTileTokens * kTileTokens;

struct Piece {
  alignas(64) uint8_t codes[kPieceGroups][8][kStrips][kVector];
  alignas(64) float scales[kPieceGroups][2][kStrips][kLanes], mins[kPieceGroups][2][kStrips][kLanes];
};

// Unpacks `count` groups of a strip, from `first` on, into place r of the piece.
template <class F> void unpack_piece(const uint8_t* strip, int64_t first, int64_t count, int r, Piece& piece) {
  using L = Layout<F>;
  const Bytes table = code_table<F>();
  ScaleReader<F> reader(strip, first);
  for (int64_t g = 0; g < count; ++g) {
    if (g && g % kChunk == 0) reader = {strip, first + g};
    Floats scale[L::subs], min[L::subs];
    Bytes w[8];
    reader.group(scale, min);
    unpack_codes<F>(strip + L::codes_at(first + g), table, w);
    for (int k = 0; k < 8; ++k) store(piece.codes[g][k][r], w[k]);
    for (int s = 0; s < L::subs; ++s) {
      store(piece.scales[g][s][r], scale[s]);
      if constexpr (L::has_min) store(piece.mins[g][s][r], min[s]);
    }
  }
}

// Calls f(r, t) for every strip and token of a tile.
template <int kTokens, class Fn> BITWRIGHT_INLINE void each_sum(Fn f) {
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
    for (int r = 0; r < kStrips; ++r) f(r, t);
  }
}

// Adds the products of a sub-group to sums: S::count vectors of each strip, and columns of each token from `column` on.
template <class S, int kTokens> BITWRIGHT_INLINE void tile_dot(const uint8_t (*codes)[kStrips][kVector],
                                                               const ColumnGroup* const* x, int column,
                                                               Ints (&sums)[kStrips][kTokens]) {
  constexpr int run = Ops::kDirect ? S::count : smaller(Ops::run(S::highest, S::full), S::count);
#pragma GCC unroll 8
  for (int k = 0; k < S::count; k += run) {
    Ints parts[kStrips][kTokens];
    each_sum<kTokens>([&](int r, int t) BITWRIGHT_FORCE { parts[r][t] = Ops::kDirect ? sums[r][t] : Ints{}; });
#pragma GCC unroll 8
    for (int i = k; i < k + run; ++i) {
      Bytes w[kStrips];
#pragma GCC unroll 4
      for (int r = 0; r < kStrips; ++r) w[r] = load(codes[i][r]);
      each_sum<kTokens>([&](int r, int t) BITWRIGHT_FORCE {
        parts[r][t] = Ops::template step<S::full>(parts[r][t], w[r], x[t]->codes + column + 4 * i);
      });
    }
    each_sum<kTokens>([&](int r, int t) BITWRIGHT_FORCE { sums[r][t] = Ops::flush(sums[r][t], parts[r][t]); });
  }
}

// The same, two rows and two tokens at a time (Ops::kMatrix).
template <class O, class S, int kTokens> BITWRIGHT_INLINE void matrix_dot(const uint8_t (*codes)[kStrips][kVector],
                                                                          const ColumnGroup* const* x, int column,
                                                                          Ints (&sums)[kStrips][kTokens]) {
  Ints first[kStrips][kTokens / 2], last[kStrips][kTokens / 2];
  for (int r = 0; r < kStrips; ++r) {
    for (int t = 0; t < kTokens / 2; ++t) first[r][t] = last[r][t] = Ints{};
  }
#pragma GCC unroll 8
  for (int k = 0; k < S::count; k += 2) {
    Bytes tokens[kTokens / 2];
#pragma GCC unroll 8
    for (int t = 0; t < kTokens / 2; ++t)
      tokens[t] = O::tokens(x[2 * t]->codes + column + 4 * k, x[2 * t + 1]->codes + column + 4 * k);
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
      sums[r][2 * t] = O::first_token(sums[r][2 * t], first[r][t], last[r][t]);
      sums[r][2 * t + 1] = O::last_token(sums[r][2 * t + 1], first[r][t], last[r][t]);
    }
  }
}

// What is prefetched while a tile is computed: `bytes` for every group, from `at` on.
struct Ahead {
  const uint8_t* at = nullptr;
  int64_t bytes = 0;
};

// What one tile multiplies: `count` groups of a piece from `first` on, and as many of each of `size` tokens.
struct Tile {
  struct Token {
    int64_t index;
    const ColumnGroup* x;
  };
  int64_t first, count, size;
  bool starts;  // y; otherwise the sums are added to it
  Token tokens[kTileTokens];
};

struct PrefillScratch {
  Piece piece;
  Tile tiles[(kTokenBlock + kTokenBlock * kFine + kPieceGroups * (kTileTokens - 1)) / kTileTokens];
};

// Lists the tiles of tokens [begin, end) and the piece of `count` groups from `group` on, for all panels; returns their
// number. The first have all groups. The others have one fine group each, in ascending order, as decode adds them. Where a
// tile is not full, its last token is repeated: its sums are computed and stored again. Otherwise no tile has a token
// twice.
inline int64_t list_tiles(const Input& in, int64_t begin, int64_t end, int64_t group, int64_t count, Tile* tiles) {
  const auto put = [=](int64_t& at, int64_t first, int64_t groups, bool starts, const Tile::Token& token) {
    Tile& tile = tiles[at / kTileTokens];
    tile.first = first, tile.count = groups, tile.starts = starts;
    tile.tokens[at++ % kTileTokens] = token;
    tile.size = (at - 1) % kTileTokens + 1;
  };
  const auto fill_up = [=](int64_t& at) {
    for (; at % kTileTokens; ++at) {
      Tile::Token* const token = tiles[at / kTileTokens].tokens + at % kTileTokens;
      *token = token[-1];
    }
  };
  const auto each_fine = [&](auto f) {
    for (int64_t t = begin; t < end; ++t)
      in.each_fine(t, group, group + count, [&](const ColumnGroup& x) { f(x.index - group, Tile::Token{t, &x}); });
  };
  int64_t next[kPieceGroups] = {}, at = 0;  // next: where the next token with a fine group goes; at first, how many do
  for (int64_t t = begin; t < end; ++t) put(at, 0, count, group == 0, {t, in.coded + t * in.groups + group});
  fill_up(at);
  each_fine([&](int64_t g, const Tile::Token&) { ++next[g]; });
  for (int64_t& n : next) {
    const int64_t tokens = n;
    n = at;
    at += padded(tokens, kTileTokens);
  }
  each_fine([&](int64_t g, const Tile::Token& token) { put(next[g], g, 1, false, token); });
  for (int64_t& n : next) fill_up(n);
  return at / kTileTokens;
}

// A tile's sums, added to y (tokens, stride), whose first row is the panel's first.
template <class S, int kTokens> void multiply_tile(const Piece& piece, const Tile& tile, int64_t rows, float* y,
                                                   int64_t stride, Ahead ahead) {
  Floats sums[kStrips][kTokens];
  float* to[kTokens];
  const ColumnGroup* x[kTokens];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
    to[t] = y + tile.tokens[t].index * stride;
    x[t] = tile.tokens[t].x;
  }
  each_sum<kTokens>([&](int r, int t) BITWRIGHT_FORCE {
    sums[r][t] = tile.starts ? Floats{} : load_rows(to[t] + r * kLanes, rows - r * kLanes);
  });
  for (float* start : to)
    for (int r = 0; r < kPanelRows; r += 16)
      __builtin_prefetch(start + r);  // a store that misses the cache delays what follows
  for (int64_t g = tile.first; g < tile.first + tile.count; ++g) {
    for (const uint8_t* end = ahead.at + ahead.bytes; ahead.at < end; ahead.at += 64)
      __builtin_prefetch(ahead.at, 0, 2);
    Floats scaled[kStrips][kTokens];
    each_sum<kTokens>([&](int r, int t) BITWRIGHT_FORCE { scaled[r][t] = Floats{}; });
#pragma GCC unroll 2
    for (int s = 0; s < S::subs; ++s) {
      constexpr int count = S::count;
      Ints dots[kStrips][kTokens];
      each_sum<kTokens>([&](int r, int t)
                            BITWRIGHT_FORCE { dots[r][t] = splat_int(-S::offset * x[t]->sums[S::which(s)]); });
      if constexpr (Ops::kMatrix && kTokens % 2 == 0)
        matrix_dot<Ops, S, kTokens>(piece.codes[g] + s * count, x, 4 * s * count, dots);
      else
        tile_dot<S, kTokens>(piece.codes[g] + s * count, x, 4 * s * count, dots);
      each_sum<kTokens>([&](int r, int t) BITWRIGHT_FORCE {
        scaled[r][t] = add_sub_group(scaled[r][t], dots[r][t], load(piece.scales[g][s][r]), s);
      });
    }
    each_sum<kTokens>([&](int r, int t) BITWRIGHT_FORCE {
      sums[r][t] = add_group<S>(sums[r][t], scaled[r][t], *x[t],
                                [&](int s) BITWRIGHT_FORCE { return load(piece.mins[g][s][r]); });
    });
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) ++x[t];
  }
  each_sum<kTokens>([&](int r, int t) BITWRIGHT_FORCE {
    if (rows > r * kLanes) store_rows(to[t] + r * kLanes, sums[r][t], rows - r * kLanes);
  });
}

template <class F> void prefill_integer(const Weight& w, const uint8_t* input, int64_t tokens, float* y, int64_t stride,
                                        int64_t begin, int64_t end, uint8_t* scratch) {
  using L = Layout<F>;
  const Input in(input, tokens, w.columns);
  const int64_t strip_bytes = L::strip_bytes(in.groups);
  auto& [piece, tiles] = *reinterpret_cast<PrefillScratch*>((reinterpret_cast<uintptr_t>(scratch) + 63) / 64 * 64);
  for (int64_t token = 0; token < tokens; token += kTokenBlock) {
    const int64_t last = smaller(token + kTokenBlock, tokens);
    for (int64_t group = 0; group < in.groups; group += kPieceGroups) {
      const int64_t count = smaller<int64_t>(kPieceGroups, in.groups - group),
                    tile_count = list_tiles(in, token, last, group, count, tiles);
      for (int64_t panel = begin; panel < end; ++panel) {
        const int64_t row = panel * kPanelRows;
        const uint8_t* strips = w.packed + panel * kStrips * strip_bytes;
        for (int r = 0; r < kStrips; ++r) unpack_piece<F>(strips + r * strip_bytes, group, count, r, piece);
        for (int64_t i = 0; i < tile_count; ++i) {
          Ahead ahead;  // each of the first tiles fetches a strip of the next panel
          if (i < kStrips && panel + 1 < end)
            ahead = {strips + (kStrips + i) * strip_bytes + L::chunk_at(group), L::chunk_bytes / kChunk};
          const auto multiply = [&]<int kTokens>() {
            multiply_tile<ShapeOf<F>, kTokens>(piece, tiles[i], w.rows - row, y + row, stride, ahead);
          };
          if (tiles[i].size == 1)
            multiply.template operator()<1>();
          else if (tiles[i].size == 2)
            multiply.template operator()<2>();
          else
            multiply.template operator()<kTileTokens>();
        }
      }
    }
  }
}
