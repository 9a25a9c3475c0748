// IQ3_S to IQ1_M: points of a grid, by sub-blocks whose scale is an odd multiple 2 s + 1 of the superblock's.

// What a sub-block's values became: signed codes, and the grid's index of each group of Dim.
template <int N, int Dim>
struct Points {
  floats code[N];
  ints index[N / Dim];
};

enum class Signs { free, even };  // even: of each eight values an even number is negative, as 7 bits can say

// Magnitudes from a grid, with signs.
template <class Table_, int N_, Signs signs, int Limit_, int Divisor_>
struct SignedGrid {
  using Table = Table_;
  static constexpr int N = N_, Dim = Table::Dim, Limit = Limit_, Divisor = Divisor_, pair = 8 / Dim;
  static constexpr float first = 1.2f, last = 0.45f;  // the outermost value over the grid's, in the scan of scales
  const Table& table;

  BITWRIGHT_FORCE float largest() const { return table.level[Table::Levels - 1]; }

  // The best points of a sub-block at a scale, and what they lose.
  BITWRIGHT_FORCE floats choose(const floats* x, const floats* w, floats scale, Points<N, Dim>& out) const {
    floats lost{};
    for (int eight = 0; eight < N; eight += 8) {
      ints at[pair], at_odd[pair], negative{}, odd[pair];  // odd: whether a sign of the group is turned
      floats even_cost[pair], odd_cost[pair];
      for (int i = 0; i < 8; i++) negative ^= x[eight + i] < 0.f;
      for (int t = 0; t < pair; t++) {
        const int base = eight + t * Dim;
        floats cost[Dim][Table::Levels], flipped[Dim][Table::Levels];
        for (int i = 0; i < Dim; i++)
          for (int l = 0; l < Table::Levels; l++) {
            const floats value = scale * table.level[l], miss = abs_of(x[base + i]) - value,
                         far = abs_of(x[base + i]) + value;
            cost[i][l] = w[base + i] * (miss * miss);
            flipped[i][l] = w[base + i] * (far * far);
          }
        HalfCosts<Table> a, b;
        if constexpr (signs == Signs::free) {
          a.add_up(cost);
          b.add_up(cost + Table::Half);
          lost += nearest_point(table, a.even, b.even, nullptr, nullptr, at[t]);
          continue;
        }
        a.add_up(cost, flipped);
        b.add_up(cost + Table::Half, flipped + Table::Half);
        if constexpr (pair == 1) {
          for (floats& c : a.odd) c = select(negative, c, a.even[&c - a.odd]);
          for (floats& c : b.odd) c = select(negative, c, b.even[&c - b.odd]);
          lost += nearest_point(table, a.odd, b.even, a.even, b.odd, at[0]);
          odd[0] = negative;
        } else {
          even_cost[t] = nearest_point(table, a.even, b.even, nullptr, nullptr, at[t]);
          odd_cost[t] = nearest_point(table, a.odd, b.even, a.even, b.odd, at_odd[t]);
        }
      }
      if constexpr (signs == Signs::even && pair == 2) {  // the sign is turned in the half where that costs less
        const floats turned[2] = {odd_cost[0] + even_cost[1], even_cost[0] + odd_cost[1]};
        const ints second = turned[1] < turned[0];
        odd[0] = negative & ~second;
        odd[1] = negative & second;
        lost += select(negative, min_of(turned[1], turned[0]), even_cost[0] + even_cost[1]);
        for (int t = 0; t < 2; t++) at[t] = (odd[t] & at_odd[t]) | (~odd[t] & at[t]);
      }
      for (int t = 0; t < pair; t++) {
        read_points(x + eight + t * Dim, at[t], out.code + eight + t * Dim, out.index[(eight + t * Dim) / Dim]);
        if constexpr (signs == Signs::even)
          turn_cheapest(x + eight + t * Dim, w + eight + t * Dim, odd[t], out.code + eight + t * Dim);
      }
    }
    return lost;
  }

  BITWRIGHT_FORCE void read_points(const floats* x, ints at, floats* code, ints& index) const {
    for (int k = 0; k < kLanes; k++) {
      index[k] = table.index[at[k]];
      for (int i = 0; i < Dim; i++) code[i][k] = table.coordinate[at[k]][i];
    }
    for (int i = 0; i < Dim; i++) code[i] = select(x[i] < 0.f, -code[i], code[i]);
  }

  // Turning sign i costs 4 scale w |x| code.
  BITWRIGHT_FORCE void turn_cheapest(const floats* x, const floats* w, ints odd, floats* code) const {
    floats least = splat(INFINITY), which{};
    for (int i = 0; i < Dim; i++) {
      const floats price = w[i] * abs_of(x[i] * code[i]);
      which = select(price < least, splat(static_cast<float>(i)), which);
      least = min_of(price, least);
    }
    for (int i = 0; i < Dim; i++) code[i] = select(odd & (which == static_cast<float>(i)), -code[i], code[i]);
  }
};

// Coordinates -1, 0, 1, all of a group (a sub-block's, or of eight) moved up or down by an eighth; the codes are the moved ones.
template <class Table_, int N_, bool EachEight>
struct ShiftedGrid {
  using Table = Table_;
  static constexpr int N = N_, Dim = 8, Limit = 7, Divisor = 1;
  static constexpr float first = 1.1f, last = 0.35f;
  const Table& table;

  BITWRIGHT_FORCE float largest() const { return 1.125f; }

  BITWRIGHT_FORCE floats choose(const floats* x, const floats* w, floats scale, Points<N, Dim>& out) const {
    ints at[2][N / 8];
    floats lost[2][N / 8], total[2] = {floats{}, floats{}}, sum{};
    for (int down = 0; down < 2; down++)
      for (int t = 0; t < N / 8; t++) {
        floats cost[8][3];
        for (int i = 0; i < 8; i++)
          for (int l = 0; l < 3; l++) {
            const floats miss = x[8 * t + i] - scale * (table.level[l] + (down ? -0.125f : 0.125f));
            cost[i][l] = w[8 * t + i] * (miss * miss);
          }
        HalfCosts<Table> a, b;
        a.add_up(cost);
        b.add_up(cost + 4);
        lost[down][t] = nearest_point(table, a.even, b.even, nullptr, nullptr, at[down][t]);
        total[down] += lost[down][t];
      }
    for (int t = 0; t < N / 8; t++) {
      const ints down = EachEight ? lost[1][t] < lost[0][t] : total[1] < total[0];
      const ints chosen = (down & at[1][t]) | (~down & at[0][t]);
      sum += select(down, lost[1][t], lost[0][t]);
      for (int k = 0; k < kLanes; k++) {
        out.index[t][k] = table.index[chosen[k]];
        for (int i = 0; i < 8; i++) out.code[8 * t + i][k] = table.coordinate[chosen[k]][i];
      }
      for (int i = 0; i < 8; i++) out.code[8 * t + i] += select(down, splat(-0.125f), splat(0.125f));
    }
    return sum;
  }
};

template <int N, int Dim>
BITWRIGHT_INLINE void refit_points(const floats* x, const floats* w, const Points<N, Dim>& points, floats& sum_lx,
                                   floats& sum_ll) {
  sum_lx = sum_ll = floats{};
  for (int i = 0; i < N; i++) {
    const floats wl = w[i] * points.code[i];
    sum_lx += wl * x[i];
    sum_ll += wl * points.code[i];
  }
}

constexpr int kScales = 12, kScaleRefits = 2, kPlacements = 3;

// The scale of kLanes sub-blocks that fits best, and how much a change of it costs.
template <class Grid>
BITWRIGHT_INLINE void best_grid_scale(const Grid& grid, const floats* x, const floats* w, floats& scale,
                                      floats& curvature) {
  const floats unit = abs_of(signed_extreme<Grid::N>(x)) / grid.largest();
  floats best = floats{};
  scale = unit;
  curvature = floats{};
  Points<Grid::N, Grid::Dim> points = {};
  for (int trial = 0; trial < kScales + kScaleRefits; trial++) {
    const float at =
        Grid::first + (Grid::last - Grid::first) * static_cast<float>(trial) / static_cast<float>(kScales - 1);
    grid.choose(x, w, trial < kScales ? at * unit : scale, points);
    floats sum_lx, sum_ll;
    refit_points(x, w, points, sum_lx, sum_ll);
    const floats fitted = sum_lx * reciprocal(sum_ll), gain = fitted * sum_lx;
    const ints better = (gain > best) & (fitted > 0.f);
    best = select(better, gain, best);
    scale = select(better, fitted, scale);
    curvature = select(better, sum_ll, curvature);
  }
}

// The unit u for which odd multiples u (2 s + 1), s in 0..limit, come nearest to the wanted scales.
BITWRIGHT_INLINE float best_unit(const float* wanted, const float* curvature, int count, int limit) {
  float most = 0.f;
  for (int j = 0; j < count; j++) most = std::max(most, wanted[j]);
  double best = INFINITY, unit = most / (2 * limit + 1);
  for (int step = 0; step < 2 * limit && most > 0.f; step++) {
    const double trial = 2.0 * most / (2 * (2 * limit + 1) + 2 - step);
    double ow = 0, oo = 0, ww = 0;
    for (int j = 0; j < count; j++) {
      const double odd = 2 * std::clamp(std::rint((wanted[j] / trial - 1) / 2), 0.0, static_cast<double>(limit)) + 1;
      ow += curvature[j] * odd * wanted[j];
      oo += curvature[j] * odd * odd;
      ww += static_cast<double>(curvature[j]) * wanted[j] * wanted[j];
    }
    if (oo > 0 && ww - ow * ow / oo < best) {
      best = ww - ow * ow / oo;
      unit = ow / oo;
    }
  }
  return static_cast<float>(unit);
}

// A superblock's points and sub-scales: on return s.x holds signed codes, s.scale the integers, `index` the points' indices.
template <class Grid, int Count = kSuper / Grid::N / kLanes>
BITWRIGHT_INLINE bool search_grid(const Grid& grid, Super<Grid::N>& s, half_t& d,
                                  ints (&index)[Count][Grid::N / Grid::Dim]) {
  constexpr int N = Grid::N, Dim = Grid::Dim;
  floats scale[Count], curvature[Count];
  for (int g = 0; g < Count; g++) best_grid_scale(grid, s.x[g], s.w[g], scale[g], curvature[g]);
  float wanted[kSuper / N], curvatures[kSuper / N];
  std::memcpy(wanted, scale, sizeof wanted);
  std::memcpy(curvatures, curvature, sizeof curvatures);
  float unit = best_unit(wanted, curvatures, kSuper / N, Grid::Limit), best = INFINITY;
  d = to_half(unit * Grid::Divisor);
  if (is_infinite(d)) return false;
  floats code[Count][N] = {};
  for (int placement = 0; placement < kPlacements; placement++) {
    const half_t try_d = to_half(unit * Grid::Divisor);
    if (is_infinite(try_d)) break;
    const float u = from_half(try_d) / Grid::Divisor;
    const floats inverse = reciprocal(splat(u));
    Points<N, Dim> points[Count] = {};
    floats lost[Count], placed[Count] = {};
    double ox = 0, oo = 0;
    for (int g = 0; g < Count; g++) {
      const floats rounded = round_even((scale[g] * inverse - 1.f) * 0.5f);
      lost[g] = splat(INFINITY);
      for (int trial = 0; trial < (placement ? 1 : 3); trial++) {
        const float delta = trial == 1 ? -1.f : trial == 2 ? 1.f : 0.f;
        const floats candidate = clamp(rounded + delta, 0.f, Grid::Limit);
        Points<N, Dim> tried = {};
        const floats error = grid.choose(s.x[g], s.w[g], u * (2.f * candidate + 1.f), tried);
        const ints better = error < lost[g];
        lost[g] = select(better, error, lost[g]);
        placed[g] = select(better, candidate, placed[g]);
        for (int i = 0; i < N; i++) points[g].code[i] = select(better, tried.code[i], points[g].code[i]);
        for (int t = 0; t < N / Dim; t++)
          points[g].index[t] = (better & tried.index[t]) | (~better & points[g].index[t]);
      }
      floats sum_lx, sum_ll;
      refit_points(s.x[g], s.w[g], points[g], sum_lx, sum_ll);
      const floats odd = 2.f * placed[g] + 1.f;
      for (int k = 0; k < kLanes; k++) {
        ox += static_cast<double>(odd[k]) * sum_lx[k];
        oo += static_cast<double>(odd[k]) * odd[k] * sum_ll[k];
      }
    }
    const float total = total_of(lost);
    if (!(total < best)) break;
    best = total;
    d = try_d;
    for (int g = 0; g < Count; g++) {
      s.scale[g] = placed[g];
      std::copy(points[g].code, points[g].code + N, code[g]);
      std::copy(points[g].index, points[g].index + N / Dim, index[g]);
    }
    if (!(oo > 0) || !(ox > 0)) break;
    unit = static_cast<float>(ox / oo);
    for (int g = 0; g < Count; g++) scale[g] = unit * (2.f * s.scale[g] + 1.f);
  }
  for (int g = 0; g < Count; g++) std::copy(code[g], code[g] + N, s.x[g]);
  return true;
}

// What the formats store of a superblock, in the order of its values: the index of each point, the signs of each eight, whether
// each eight is moved down, the integer of each sub-block.
template <class Grid>
struct Chosen {
  uint16_t index[kSuper / Grid::Dim];
  uint8_t signs[32], down[32], scale[kSuper / Grid::N];

  template <int Count>
  BITWRIGHT_FORCE void take(const Super<Grid::N>& s, const ints (&indices)[Count][Grid::N / Grid::Dim]) {
    constexpr int N = Grid::N, groups = N / Grid::Dim;
    std::memset(signs, 0, sizeof signs);
    for (int j = 0; j < kSuper / N; j++) {
      const int g = j / kLanes, k = j % kLanes;
      scale[j] = static_cast<uint8_t>(s.scale[g][k]);
      for (int t = 0; t < groups; t++) index[j * groups + t] = static_cast<uint16_t>(indices[g][t][k]);
      for (int i = 0; i < N; i++) signs[(j * N + i) / 8] |= (s.x[g][i][k] < 0.f) << i % 8;
      for (int i = 0; i < N; i += 8) down[(j * N + i) / 8] = s.x[g][i][k] < std::rint(s.x[g][i][k]);
    }
  }
};

BITWRIGHT_INLINE void store32(uint32_t word, void* to) { std::memcpy(to, &word, sizeof word); }

template <class Chosen>
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t d, block_iq2_xxs& y) {
  y.d = d;
  for (int j = 0; j < 8; j++) {
    uint32_t indices = 0, rest = static_cast<uint32_t>(c.scale[j]) << 28;
    for (int t = 0; t < 4; t++) {
      indices |= static_cast<uint32_t>(c.index[4 * j + t]) << 8 * t;
      rest |= static_cast<uint32_t>(c.signs[4 * j + t] & 127) << 7 * t;
    }
    store32(indices, y.qs + 4 * j);
    store32(rest, y.qs + 4 * j + 2);
  }
}

template <class Chosen>
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t d, block_iq2_xs& y) {
  y.d = d;
  for (int t = 0; t < 32; t++) y.qs[t] = static_cast<uint16_t>(c.index[t] | (c.signs[t] & 127) << 9);
  for (int j = 0; j < 8; j++) y.scales[j] = static_cast<uint8_t>(c.scale[2 * j] | c.scale[2 * j + 1] << 4);
}

template <class Chosen>
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t d, block_iq2_s& y) {
  y.d = d;
  std::memset(y.qh, 0, sizeof y.qh);
  for (int t = 0; t < 32; t++) {
    y.qs[t] = static_cast<uint8_t>(c.index[t]);
    y.qs[32 + t] = c.signs[t];
    y.qh[t / 4] |= c.index[t] >> 8 << 2 * (t % 4);
  }
  for (int j = 0; j < 8; j++) y.scales[j] = static_cast<uint8_t>(c.scale[2 * j] | c.scale[2 * j + 1] << 4);
}

template <class Chosen>
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t d, block_iq3_xxs& y) {
  y.d = d;
  for (int t = 0; t < 64; t++) y.qs[t] = static_cast<uint8_t>(c.index[t]);
  for (int j = 0; j < 8; j++) {
    uint32_t word = static_cast<uint32_t>(c.scale[j]) << 28;
    for (int t = 0; t < 4; t++) word |= static_cast<uint32_t>(c.signs[4 * j + t] & 127) << 7 * t;
    store32(word, y.qs + 64 + 4 * j);
  }
}

template <class Chosen>
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t d, block_iq3_s& y) {
  y.d = d;
  std::memset(y.qh, 0, sizeof y.qh);
  for (int t = 0; t < 64; t++) {
    y.qs[t] = static_cast<uint8_t>(c.index[t]);
    y.qh[t / 8] |= c.index[t] >> 8 << t % 8;
  }
  std::memcpy(y.signs, c.signs, sizeof y.signs);
  for (int j = 0; j < 4; j++) y.scales[j] = static_cast<uint8_t>(c.scale[2 * j] | c.scale[2 * j + 1] << 4);
}

template <class Chosen>
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t d, block_iq1_s& y) {
  y.d = d;
  for (int j = 0; j < 8; j++) {
    y.qh[j] = static_cast<uint16_t>(c.scale[j] << 12 | c.down[4 * j] << 15);
    for (int t = 0; t < 4; t++) {
      y.qs[4 * j + t] = static_cast<uint8_t>(c.index[4 * j + t]);
      y.qh[j] |= static_cast<uint16_t>(c.index[4 * j + t] >> 8 << 3 * t);
    }
  }
}

template <class Chosen>
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t d, block_iq1_m& y) {
  for (int t = 0; t < 32; t += 2) {
    y.qs[t] = static_cast<uint8_t>(c.index[t]);
    y.qs[t + 1] = static_cast<uint8_t>(c.index[t + 1]);
    y.qh[t / 2] =
        static_cast<uint8_t>(c.index[t] >> 8 | c.down[t] << 3 | (c.index[t + 1] >> 8 | c.down[t + 1] << 3) << 4);
  }
  for (int word = 0; word < 4; word++) {  // the scale's nibbles are the top ones of the four words
    uint16_t bits = static_cast<uint16_t>((d >> 4 * word & 15) << 12);
    for (int t = 0; t < 4; t++) bits |= static_cast<uint16_t>(c.scale[4 * word + t] << 3 * t);
    std::memcpy(y.scales + 2 * word, &bits, sizeof bits);
  }
}

// The formats: block, grid (of so many values chosen together), and values in a sub-block.
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
    ints index[s.groups][Grid::N / Grid::Dim];
    half_t d;
    load_super(s, x, importance);
    if (!search_grid(grid, s, d, index)) return b;
    Chosen<Grid> chosen;
    chosen.take(s, index);
    pack_points(chosen, d, y[b]);
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
