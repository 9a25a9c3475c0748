// Nearest points of the IQ formats' grids. A point has Dim coordinates, each one of Levels values. Its cost for a group of
// values is the sum of the costs of its two halves, of which there are few patterns, so one pass over the points finds
// the best exactly.

constexpr int power(int base, int exponent) { return exponent == 0 ? 1 : base * power(base, exponent - 1); }

template <int Dim_, int Levels_, int Points_>
struct PointTable {
  static constexpr int Dim = Dim_, Levels = Levels_, Points = Points_, Half = Dim / 2, Patterns = power(Levels, Half);
  static constexpr int Unroll = 4, Places = Points + Patterns * (Unroll - 1);
  float level[Levels];
  // Points are sorted by the pattern of their first half; the last of each pattern is repeated to a multiple of Unroll.
  uint16_t start[Patterns + 1];  // where each pattern begins
  uint8_t second[Places];        // the pattern of the second half
  uint16_t index[Places];        // the format's index
  float coordinate[Places][Dim];

  template <class T>  // the coordinates of the format's points, in the order of their indices
  explicit PointTable(const T (&grid)[Points][Dim]) {
    int levels = 0;
    for (int value = -128; value < 128; value++)
      for (int p = 0, found = 0; p < Points && !found; p++)
        for (int i = 0; i < Dim && !found; i++)
          if ((found = static_cast<int8_t>(grid[p][i]) == value) && levels < Levels)
            level[levels++] = static_cast<float>(value);
    int at = 0;
    for (int first = 0; first < Patterns; first++) {
      start[first] = static_cast<uint16_t>(at);
      for (int p = 0; p < Points; p++) {
        if (pattern(grid[p]) != first) continue;
        second[at] = static_cast<uint8_t>(pattern(grid[p] + Half));
        index[at] = static_cast<uint16_t>(p);
        for (int i = 0; i < Dim; i++) coordinate[at][i] = static_cast<int8_t>(grid[p][i]);
        at++;
      }
      for (; (at - start[first]) % Unroll; at++) {
        second[at] = second[at - 1];
        index[at] = index[at - 1];
        std::copy(coordinate[at - 1], coordinate[at - 1] + Dim, coordinate[at]);
      }
    }
    start[Patterns] = static_cast<uint16_t>(at);
  }

  template <class T>
  int pattern(const T* half) const {
    int sum = 0;
    for (int i = Half - 1; i >= 0; i--)
      for (int l = 0, above = sum * Levels; l < Levels; l++)
        if (level[l] == static_cast<int8_t>(half[i])) sum = above + l;
    return sum;
  }
};

// What each pattern of half a point costs, with an even number of turned signs and with an odd one.
template <class Table>
struct HalfCosts {
  Floats even[Table::Patterns], odd[Table::Patterns];

  BITWRIGHT_FORCE void add_up(const Floats (*cost)[Table::Levels]) {
    even[0] = Floats{};
    for (int i = 0, count = 1; i < Table::Half; i++, count *= Table::Levels)
      for (int l = Table::Levels - 1; l >= 0; l--)
        for (int p = 0; p < count; p++) even[p + count * l] = even[p] + cost[i][l];
  }
  BITWRIGHT_FORCE void add_up(const Floats (*cost)[Table::Levels], const Floats (*flipped)[Table::Levels]) {
    even[0] = Floats{};
    odd[0] = splat(INFINITY);
    for (int i = 0, count = 1; i < Table::Half; i++, count *= Table::Levels)
      for (int l = Table::Levels - 1; l >= 0; l--)
        for (int p = 0; p < count; p++) {
          const Floats e = even[p], o = odd[p];
          even[p + count * l] = min(e + cost[i][l], o + flipped[i][l]);
          odd[p + count * l] = min(o + cost[i][l], e + flipped[i][l]);
        }
  }
};

// The point with the least first[its first half] + second[its second half] or, where the other pair is given, the least
// of the two sums. `at` is its place in the table. For each first half only the least second half matters, so the pass
// over the points keeps only that sum; the point is looked up afterwards.
template <class Table>
BITWRIGHT_INLINE Floats nearest_point(const Table& table, const Floats* first, const Floats* second,
                                      const Floats* other_first, const Floats* other_second, Ints& at) {
  Floats best = splat(INFINITY);
  Ints pattern{};
  for (int p = 0; p < Table::Patterns; p++) {
    if (table.start[p] == table.start[p + 1]) continue;
    Floats least = splat(INFINITY), other = least;
    for (const uint8_t *at = table.second + table.start[p], *end = table.second + table.start[p + 1]; at < end;
         at += Table::Unroll)
      for (int k = 0; k < Table::Unroll; k++) {
        least = min(second[at[k]], least);
        if (other_first) other = min(other_second[at[k]], other);
      }
    Floats cost = first[p] + least;
    if (other_first) cost = min(other_first[p] + other, cost);
    const Ints better = cost < best;
    best = better ? cost : best;
    pattern = better ? Ints{} + p : pattern;
  }
  for (int k = 0; k < kLanes; k++) {
    const int p = pattern[k];
    float least = INFINITY;
    at[k] = table.start[p];
    for (int point = table.start[p]; point < table.start[p + 1]; point++) {
      const int half = table.second[point];
      float cost = first[p][k] + second[half][k];
      if (other_first) cost = std::min(other_first[p][k] + other_second[half][k], cost);
      if (cost < least) {
        least = cost;
        at[k] = point;
      }
    }
  }
  return best;
}
