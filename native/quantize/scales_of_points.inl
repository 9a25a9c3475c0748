// What error feedback needs to know about IQ1 to IQ3 (scales.inl has the other formats).

// Groups of eight values (or a whole sub-block in IQ1_S) are points of a grid; sub-scales are odd multiples.
template <class Format, int Step>
struct PointsK {
  using Block = typename Format::Block;
  using Few = typename Format::template Grid<Step>;  // the values rounded together
  using Whole = typename Format::template Grid<Format::N>;
  static constexpr int unit = kSuper, N = Format::N, groups = unit / N, candidates = 3, step = Step;
  static constexpr bool lows = false, integers = true;
  static constexpr float inverse_divisor = 1.f / Few::Divisor;

  BITWRIGHT_INLINE Floats odd(Floats code) {
    return 2.f * clamp(round_even((code - 1.f) * 0.5f), 0.f, Few::Limit) + 1.f;
  }
  BITWRIGHT_INLINE Codes clamped(Codes c) { return {odd(c.scale), Floats{}}; }

  BITWRIGHT_INLINE void fit(const Floats* x, const Floats* w, Floats& unit_scale, Floats& unit_min) {
    Floats scale[groups], curvature[groups];
    for (int g = 0; g < groups; g++)
      best_grid_scale(Whole{Format::table()}, x + g * N, w + g * N, scale[g], curvature[g]);
    for (int k = 0; k < kLanes; k++) {
      float wanted[groups], curvatures[groups];
      for (int g = 0; g < groups; g++) wanted[g] = scale[g][k], curvatures[g] = curvature[g][k];
      unit_scale[k] = best_unit(wanted, curvatures, groups, Few::Limit);
    }
    unit_scale = as_half(unit_scale * static_cast<float>(Few::Divisor)) * inverse_divisor;
    unit_min = Floats{};
  }

  BITWRIGHT_INLINE void propose(const Floats* x, const Floats* w, Floats unit_scale, Floats, Codes* tried) {
    Floats scale, curvature;
    best_grid_scale(Whole{Format::table()}, x, w, scale, curvature);
    const Floats nearest = odd(scale * reciprocal(unit_scale));
    for (int i = 0; i < candidates; i++) tried[i] = clamped(Codes{nearest + static_cast<float>(2 * i - 2), Floats{}});
  }

  // The grid values of x (Step) at a scale.
  BITWRIGHT_INLINE void round(const Floats* x, const Floats* w, Floats scale, Floats, Floats* value) {
    Points<Step, Few::Dim> points = {};
    Few{Format::table()}.choose(x, w, scale, points);
    std::copy(points.code, points.code + Step, value);
  }

  // Stores kLanes rows as blocks `stride` bytes apart, from value (unit).
  BITWRIGHT_INLINE void pack(Block* y, int64_t stride, int64_t rows, const Floats* value, const Floats* scale,
                             const Floats*, Floats unit_scale, Floats) {
    Ints index[unit / Few::Dim];
    for (int j = 0; j < unit; j += Step) {  // a chosen point is nearest to itself
      Floats ones[Step];
      for (Floats& w : ones) w = splat(1.f);
      Points<Step, Few::Dim> points = {};
      Few{Format::table()}.choose(value + j, ones, splat(1.f), points);
      std::copy(points.index, points.index + Step / Few::Dim, index + j / Few::Dim);
    }
    for (int64_t k = 0; k < rows; k++) {
      Chosen<Whole> chosen = {};
      for (int t = 0; t < unit / Few::Dim; t++) chosen.index[t] = static_cast<uint16_t>(index[t][k]);
      for (int g = 0; g < groups; g++) chosen.scale[g] = static_cast<uint8_t>((scale[g][k] - 1.f) * 0.5f);
      for (int i = 0; i < unit; i++) {
        chosen.signs[i / 8] |= (value[i][k] < 0.f) << i % 8;
        chosen.down[i / 8] = value[i][k] < std::rint(value[i][k]);
      }
      pack_points(chosen, to_half(unit_scale[k] * Few::Divisor), y[k * stride]);
    }
  }
};
