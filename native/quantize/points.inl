// For IQ3_S to IQ1_M: the best points of a grid for the values of a sub-block at a given scale.

// An encoded sub-block: signed codes, and the grid index of each group of Dim values.
template <int N, int Dim>
struct Points {
  Floats code[N];
  Ints index[N / Dim];
};

enum class Signs { free, even };  // even: 7 bits store eight signs, of which an even number is negative

// Magnitudes from a grid, with signs.
template <class Table_, int N_, Signs signs, int Limit_, int Divisor_>
struct SignedGrid {
  using Table = Table_;
  static constexpr int N = N_, Dim = Table::Dim, Limit = Limit_, Divisor = Divisor_, pair = 8 / Dim;
  static constexpr float first = 1.2f,
                         last = 0.45f;  // ratios of the outermost value to the grid's, in the scan of scales
  const Table& table;

  BITWRIGHT_FORCE float largest() const { return table.level[Table::Levels - 1]; }

  // The best points of a sub-block at a scale, and their error.
  BITWRIGHT_FORCE Floats choose(const Floats* x, const Floats* w, Floats scale, Points<N, Dim>& out) const {
    Floats lost{};
    for (int eight = 0; eight < N; eight += 8) {
      Ints at[pair], at_odd[pair], negative{}, odd[pair];  // odd: whether a sign of the group is turned
      Floats even_cost[pair], odd_cost[pair];
      for (int i = 0; i < 8; i++) negative ^= x[eight + i] < 0.f;
      for (int t = 0; t < pair; t++) {
        const int base = eight + t * Dim;
        Floats cost[Dim][Table::Levels], flipped[Dim][Table::Levels];
        for (int i = 0; i < Dim; i++)
          for (int l = 0; l < Table::Levels; l++) {
            const Floats value = scale * table.level[l], miss = abs(x[base + i]) - value,
                         far = abs(x[base + i]) + value;
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
          for (Floats& c : a.odd) c = select(negative, c, a.even[&c - a.odd]);
          for (Floats& c : b.odd) c = select(negative, c, b.even[&c - b.odd]);
          lost += nearest_point(table, a.odd, b.even, a.even, b.odd, at[0]);
          odd[0] = negative;
        } else {
          even_cost[t] = nearest_point(table, a.even, b.even, nullptr, nullptr, at[t]);
          odd_cost[t] = nearest_point(table, a.odd, b.even, a.even, b.odd, at_odd[t]);
        }
      }
      if constexpr (signs == Signs::even && pair == 2) {  // turn a sign in the half where that costs less
        const Floats turned[2] = {odd_cost[0] + even_cost[1], even_cost[0] + odd_cost[1]};
        const Ints second = turned[1] < turned[0];
        odd[0] = negative & ~second;
        odd[1] = negative & second;
        lost += select(negative, min(turned[1], turned[0]), even_cost[0] + even_cost[1]);
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

  BITWRIGHT_FORCE void read_points(const Floats* x, Ints at, Floats* code, Ints& index) const {
    for (int k = 0; k < kLanes; k++) {
      index[k] = table.index[at[k]];
      for (int i = 0; i < Dim; i++) code[i][k] = table.coordinate[at[k]][i];
    }
    for (int i = 0; i < Dim; i++) code[i] = select(x[i] < 0.f, -code[i], code[i]);
  }

  // Turning sign i costs 4 scale w |x| code.
  BITWRIGHT_FORCE void turn_cheapest(const Floats* x, const Floats* w, Ints odd, Floats* code) const {
    Floats least = splat(INFINITY), which{};
    for (int i = 0; i < Dim; i++) {
      const Floats price = w[i] * abs(x[i] * code[i]);
      which = select(price < least, splat(static_cast<float>(i)), which);
      least = min(price, least);
    }
    for (int i = 0; i < Dim; i++) code[i] = select(odd & (which == static_cast<float>(i)), -code[i], code[i]);
  }
};

// Coordinates -1, 0, 1, all moved up or down by an eighth in a group (of a sub-block, or of eight values); the codes are
// the moved coordinates.
template <class Table_, int N_, bool EachEight>
struct ShiftedGrid {
  using Table = Table_;
  static constexpr int N = N_, Dim = 8, Limit = 7, Divisor = 1;
  static constexpr float first = 1.1f, last = 0.35f;
  const Table& table;

  BITWRIGHT_FORCE float largest() const { return 1.125f; }

  BITWRIGHT_FORCE Floats choose(const Floats* x, const Floats* w, Floats scale, Points<N, Dim>& out) const {
    Ints at[2][N / 8];
    Floats lost[2][N / 8], total[2] = {Floats{}, Floats{}}, sum{};
    for (int down = 0; down < 2; down++)
      for (int t = 0; t < N / 8; t++) {
        Floats cost[8][3];
        for (int i = 0; i < 8; i++)
          for (int l = 0; l < 3; l++) {
            const Floats miss = x[8 * t + i] - scale * (table.level[l] + (down ? -0.125f : 0.125f));
            cost[i][l] = w[8 * t + i] * (miss * miss);
          }
        HalfCosts<Table> a, b;
        a.add_up(cost);
        b.add_up(cost + 4);
        lost[down][t] = nearest_point(table, a.even, b.even, nullptr, nullptr, at[down][t]);
        total[down] += lost[down][t];
      }
    for (int t = 0; t < N / 8; t++) {
      const Ints down = EachEight ? lost[1][t] < lost[0][t] : total[1] < total[0];
      const Ints chosen = (down & at[1][t]) | (~down & at[0][t]);
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
