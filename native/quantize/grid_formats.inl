// For IQ3_S to IQ1_M: the block, the grid (of N values chosen together), and the number of values in a sub-block.

struct Iq2Xxs {
  using Block = block_iq2_xxs;
  using Table = PointTable<8, 3, 256>;
  template <int N> using Grid = SignedGrid<Table, N, Signs::even, 15, 8>;
  static constexpr int N = 32;
  static const Table& table() {
    static const Table own(codebooks.iq2_xxs);
    return own;
  }
};
struct Iq2Xs {
  using Block = block_iq2_xs;
  using Table = PointTable<8, 3, 512>;
  template <int N> using Grid = SignedGrid<Table, N, Signs::even, 15, 8>;
  static constexpr int N = 16;
  static const Table& table() {
    static const Table own(codebooks.iq2_xs);
    return own;
  }
};
struct Iq2S {
  using Block = block_iq2_s;
  using Table = PointTable<8, 3, 1024>;
  template <int N> using Grid = SignedGrid<Table, N, Signs::free, 15, 8>;
  static constexpr int N = 16;
  static const Table& table() {
    static const Table own(codebooks.iq2_s);
    return own;
  }
};
struct Iq3Xxs {
  using Block = block_iq3_xxs;
  using Table = PointTable<4, 8, 256>;
  template <int N> using Grid = SignedGrid<Table, N, Signs::even, 15, 4>;
  static constexpr int N = 32;
  static const Table& table() {
    static const Table own(codebooks.iq3_xxs);
    return own;
  }
};
struct Iq3S {
  using Block = block_iq3_s;
  using Table = PointTable<4, 8, 512>;
  template <int N> using Grid = SignedGrid<Table, N, Signs::free, 15, 1>;
  static constexpr int N = 32;
  static const Table& table() {
    static const Table own(codebooks.iq3_s);
    return own;
  }
};
struct Iq1S {
  using Block = block_iq1_s;
  using Table = PointTable<8, 3, 2048>;
  template <int N> using Grid = ShiftedGrid<Table, N, false>;
  static constexpr int N = 32;
  static const Table& table() {
    static const Table own(codebooks.iq1);
    return own;
  }
};
struct Iq1M {
  using Block = block_iq1_m;
  using Table = PointTable<8, 3, 2048>;
  template <int N> using Grid = ShiftedGrid<Table, N, true>;
  static constexpr int N = 16;
  static const Table& table() {
    static const Table own(codebooks.iq1);
    return own;
  }
};

template <class Format>
BITWRIGHT_INLINE int64_t search_points(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  using Grid = typename Format::template Grid<Format::N>;
  const Grid grid{Format::table()};
  auto* y = reinterpret_cast<typename Format::Block*>(out);
  for (int64_t b = 0; b < blocks; b++, x += kSuper, importance += importance ? kSuper : 0) {
    Super<Grid::N> s;
    Ints index[s.groups][Grid::N / Grid::Dim];
    half_t super_scale;
    load_super(s, x, importance);
    if (!search_grid(grid, s, super_scale, index)) return b;
    Chosen<Grid> chosen;
    chosen.take(s, index);
    pack_points(chosen, super_scale, y[b]);
  }
  return -1;
}

static int64_t search_iq2_xxs(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_points<Iq2Xxs>(x, importance, blocks, out);
}
static int64_t search_iq2_xs(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_points<Iq2Xs>(x, importance, blocks, out);
}
static int64_t search_iq2_s(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_points<Iq2S>(x, importance, blocks, out);
}
static int64_t search_iq3_xxs(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_points<Iq3Xxs>(x, importance, blocks, out);
}
static int64_t search_iq3_s(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_points<Iq3S>(x, importance, blocks, out);
}
static int64_t search_iq1_s(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_points<Iq1S>(x, importance, blocks, out);
}
static int64_t search_iq1_m(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  return search_points<Iq1M>(x, importance, blocks, out);
}
