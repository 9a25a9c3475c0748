// What error feedback needs to know of a format: its grid, and how a unit's scales are stored. Lanes are rows here: each vector
// holds one column of kLanes rows. A value is scale * grid + low with
//
//   scale = d * scale code,   low = -dmin * low code
//
// K-quants: codes are integers of a unit's float16 d and dmin. Elsewhere d = 1 and dmin = -1, and the "codes" are the stored
// floats themselves.

// What the formats have in common whose values are rounded one by one: P is the format.
template <class P, class Grid>
struct OneByOne {
  static constexpr int step = 1;
  BITWRIGHT_INLINE void round(const floats* x, const floats*, floats scale, floats low, floats* value) {
    value[0] = Grid::nearest((x[0] - low) * reciprocal(scale));
  }

  // Of kLanes rows: value (unit), scale and low (sub-blocks) to the blocks, `stride` apart.
  template <class Block>
  BITWRIGHT_INLINE void pack(Block* y, int64_t stride, int64_t rows, const floats* value, const floats* scale,
                             const floats* low, floats d, floats dmin) {
    uint8_t codes[kLanes * P::unit];
    floats code[P::unit];
    for (int j = 0; j < P::unit; j++) code[j] = Grid::code(value[j]);
    store_lanes<P::unit>(code, codes);
    for (int64_t k = 0; k < rows; k++) {
      float own_scale[P::groups], own_low[P::groups];
      for (int g = 0; g < P::groups; g++) own_scale[g] = scale[g][k], own_low[g] = low[g][k];
      P::pack_one(y[k * stride], codes + k * P::unit, own_scale, own_low, d[k], dmin[k]);
    }
  }
};

struct Codes {  // of one sub-block
  floats scale, low;
};

BITWRIGHT_INLINE Codes select(ints mask, Codes a, Codes b) {
  return {select(mask, a.scale, b.scale), select(mask, a.low, b.low)};
}

template <int Top>
struct UnsignedGrid {  // 0 .. Top
  BITWRIGHT_INLINE floats nearest(floats v) { return clamp(round_even(v), 0.f, Top); }
  BITWRIGHT_INLINE floats code(floats v) { return nearest(v); }
};

// Q2_K Q4_K Q5_K
template <class BlockType, int N_, int Top, int Limit>
struct AsymmetricK : OneByOne<AsymmetricK<BlockType, N_, Top, Limit>, UnsignedGrid<Top>> {
  using Block = BlockType;
  using Grid = UnsignedGrid<Top>;
  static constexpr int unit = kSuper, N = N_, groups = unit / N, candidates = 9;
  static constexpr bool lows = true, integers = true;

  BITWRIGHT_INLINE floats clamped(floats code) { return clamp(round_even(code), 0.f, Limit); }
  BITWRIGHT_INLINE Codes clamped(Codes c) { return {clamped(c.scale), clamped(c.low)}; }

  // The unit's d and dmin for targets x (unit) with weights w.
  BITWRIGHT_INLINE void fit(const floats* x, const floats* w, floats& d, floats& dmin) {
    floats most{}, deepest{};
    for (int g = 0; g < groups; g++) {
      floats scale, low;
      best_asymmetric<N, Top, false>(x + g * N, w + g * N, scale, low);
      most = max_of(most, scale);
      deepest = max_of(deepest, -low);
    }
    d = as_half(most / static_cast<float>(Limit));
    dmin = as_half(deepest / static_cast<float>(Limit));
  }

  // Codes worth trying for a sub-block: around the best fit.
  BITWRIGHT_INLINE void propose(const floats* x, const floats* w, floats d, floats dmin, Codes* tried) {
    floats scale, low;
    best_asymmetric<N, Top, false>(x, w, scale, low);
    const floats s = round_even(scale * reciprocal(d)), l = round_even(-low * reciprocal(dmin));
    for (int i = 0; i < candidates; i++)
      tried[i] = clamped(Codes{s + static_cast<float>(i % 3 - 1), l + static_cast<float>(i / 3 - 1)});
  }

  BITWRIGHT_INLINE void pack_one(Block& y, const uint8_t* codes, const float* scale, const float* low, float d,
                                 float dmin) {
    int s[groups], l[groups];
    for (int g = 0; g < groups; g++) s[g] = static_cast<int>(scale[g]), l[g] = static_cast<int>(low[g]);
    y.d = to_half(d);
    y.dmin = to_half(dmin);
    pack_block(y, codes, s, l);
  }
};

// Q3_K Q6_K IQ4_XS: the sub-scales of either sign.
template <class BlockType, int N_, class GridType, int Limit>
struct SymmetricK : OneByOne<SymmetricK<BlockType, N_, GridType, Limit>, GridType> {
  using Block = BlockType;
  using Grid = GridType;
  static constexpr int unit = kSuper, N = N_, groups = unit / N, candidates = 6;
  static constexpr bool lows = false, integers = true;

  BITWRIGHT_INLINE floats clamped(floats code) { return clamp(round_even(code), -Limit, Limit - 1); }
  BITWRIGHT_INLINE Codes clamped(Codes c) { return {clamped(c.scale), floats{}}; }

  BITWRIGHT_INLINE void fit(const floats* x, const floats* w, floats& d, floats& dmin) {
    floats extreme{}, other;
    for (int g = 0; g < groups; g++) {
      const floats scale = best_symmetric<N, Grid>(x + g * N, w + g * N, kStretch<Grid>, other);
      extreme = select(abs_of(scale) > abs_of(extreme), scale, extreme);
    }
    d = as_half(extreme / static_cast<float>(-Limit));
    dmin = floats{};
  }

  BITWRIGHT_INLINE void propose(const floats* x, const floats* w, floats d, floats, Codes* tried) {
    floats found[2];
    found[0] = best_symmetric<N, Grid>(x, w, kStretch<Grid>, found[1]);
    for (int i = 0; i < candidates; i++)
      tried[i] = clamped(Codes{round_even(found[i / 3] * reciprocal(d)) + static_cast<float>(i % 3 - 1), floats{}});
  }

  BITWRIGHT_INLINE void pack_one(Block& y, const uint8_t* codes, const float* scale, const float*, float d, float) {
    int s[groups];
    for (int g = 0; g < groups; g++) s[g] = static_cast<int>(scale[g]);
    y.d = to_half(d);
    pack_block(y, codes, s);
  }
};

// Q4_0 Q5_0 Q8_0 IQ4_NL Q1_0 Q2_0: one float16 scale of either sign.
template <class BlockType, class GridType, int Size = 32>
struct SymmetricHalf : OneByOne<SymmetricHalf<BlockType, GridType, Size>, GridType> {
  using Block = BlockType;
  using Grid = GridType;
  static constexpr int unit = Size, N = Size, groups = 1, candidates = 10;
  static constexpr bool lows = false, integers = false;

  BITWRIGHT_INLINE Codes clamped(Codes c) { return {as_half(c.scale), floats{}}; }
  BITWRIGHT_INLINE void fit(const floats*, const floats*, floats& d, floats& dmin) { d = splat(1.f), dmin = floats{}; }

  BITWRIGHT_INLINE void propose(const floats* x, const floats* w, floats, floats, Codes* tried) {
    floats found[2];
    found[0] = best_symmetric<N, Grid>(x, w, kStretch<Grid>, found[1]);
    for (int i = 0; i < candidates; i++)
      tried[i] = clamped(Codes{found[i / 5] * (1.f + 0.03f * static_cast<float>(i % 5 - 2)), floats{}});
  }

  BITWRIGHT_INLINE void pack_one(Block& y, const uint8_t* codes, const float* scale, const float*, float, float) {
    y.d = to_half(scale[0]);
    pack_block(y, codes);
  }
};

// Q4_1 Q5_1: a float16 scale and a float16 low of either sign.
template <class BlockType, int Top>
struct AsymmetricHalf : OneByOne<AsymmetricHalf<BlockType, Top>, UnsignedGrid<Top>> {
  using Block = BlockType;
  using Grid = UnsignedGrid<Top>;
  static constexpr int unit = 32, N = 32, groups = 1, candidates = 9;
  static constexpr bool lows = true, integers = false;

  BITWRIGHT_INLINE Codes clamped(Codes c) { return {as_half(c.scale), as_half(c.low)}; }
  BITWRIGHT_INLINE void fit(const floats*, const floats*, floats& d, floats& dmin) {
    d = splat(1.f), dmin = splat(-1.f);
  }

  BITWRIGHT_INLINE void propose(const floats* x, const floats* w, floats, floats, Codes* tried) {
    floats scale, low;
    best_asymmetric<N, Top, true>(x, w, scale, low);
    const floats middle = low + scale * (0.5f * Top);  // shrinking or stretching keeps the middle where it is
    for (int i = 0; i < candidates; i++) {
      const floats s = scale * (1.f + 0.03f * static_cast<float>(i % 3 - 1));
      tried[i] = clamped(Codes{s, middle - s * (0.5f * Top - 0.25f * static_cast<float>(i / 3 - 1))});
    }
  }

  BITWRIGHT_INLINE void pack_one(Block& y, const uint8_t* codes, const float* scale, const float* low, float, float) {
    y.d = to_half(scale[0]);
    y.m = to_half(low[0]);
    pack_block(y, codes);
  }
};

// MXFP4: a power of two for 32 values.
struct PowerOfTwo : OneByOne<PowerOfTwo, E2m1Grid> {
  using Block = block_mxfp4;
  using Grid = E2m1Grid;
  static constexpr int unit = 32, N = 32, groups = 1, candidates = 3;
  static constexpr bool lows = false, integers = false;

  BITWRIGHT_INLINE floats power(floats v) { return (floats)((ints)max_of(v, splat(1.1754944e-38f)) & 0x7f800000); }
  BITWRIGHT_INLINE Codes clamped(Codes c) { return {power(c.scale * (4.f / 3.f)), floats{}}; }
  BITWRIGHT_INLINE void fit(const floats*, const floats*, floats& d, floats& dmin) { d = splat(1.f), dmin = floats{}; }

  BITWRIGHT_INLINE void propose(const floats* x, const floats*, floats, floats, Codes* tried) {
    const floats least = power(abs_of(signed_extreme<N>(x)) / 12.f);
    tried[0] = {least, floats{}};
    tried[1] = {2.f * least, floats{}};
    tried[2] = {max_of(0.5f * least, splat(1.1754944e-38f)), floats{}};
  }

  BITWRIGHT_INLINE void pack_one(Block& y, const uint8_t* codes, const float* scale, const float*, float, float) {
    int32_t bits;
    std::memcpy(&bits, scale, sizeof bits);
    y.e = static_cast<uint8_t>((bits >> 23) + 1);
    pack_block(y, codes);
  }
};

// NVFP4: an unsigned e4m3 for each 16 of 64 values; the grid is doubled, so the scale is half of it.
struct Ue4m3 : OneByOne<Ue4m3, E2m1Grid> {
  using Block = block_nvfp4;
  using Grid = E2m1Grid;
  static constexpr int unit = 64, N = 16, groups = 4, candidates = 16;
  static constexpr bool lows = false, integers = false;

  BITWRIGHT_INLINE Codes clamped(Codes c) {
    const floats v = clamp(2.f * c.scale, 0.f, kLargestUe4m3);
    const ints bits = (ints)v, normal = (bits + 0x7ffff + ((bits >> 20) & 1)) & ~0xfffff;
    return {0.5f * select(v < 0.015625f, round_even(v * 512.f) / 512.f, (floats)normal), floats{}};
  }
  BITWRIGHT_INLINE void fit(const floats*, const floats*, floats& d, floats& dmin) { d = splat(1.f), dmin = floats{}; }

  BITWRIGHT_INLINE void propose(const floats* x, const floats*, floats, floats, Codes* tried) {
    const floats most = abs_of(signed_extreme<N>(x)) / 12.f;
    for (int i = 0; i < candidates; i++)
      tried[i] = clamped(Codes{most * (0.64f + 0.07f * static_cast<float>(i)), floats{}});
  }

  BITWRIGHT_INLINE void pack_one(Block& y, const uint8_t* codes, const float* scale, const float*, float, float) {
    for (int g = 0; g < groups; g++) y.d[g] = to_ue4m3(2.f * scale[g]);
    pack_block(y, codes);
  }
};

// IQ1 to IQ3: groups of eight values (of a whole sub-block for IQ1_S) are points of a grid; sub-scales are odd multiples.
template <class Format, int Step>
struct PointsK {
  using Block = typename Format::Block;
  using Few = typename Format::template Grid<Step>;  // what is rounded at a time
  using Whole = typename Format::template Grid<Format::N>;
  static constexpr int unit = kSuper, N = Format::N, groups = unit / N, candidates = 3, step = Step;
  static constexpr bool lows = false, integers = true;
  static constexpr float inverse_divisor = 1.f / Few::Divisor;

  BITWRIGHT_INLINE floats odd(floats code) {
    return 2.f * clamp(round_even((code - 1.f) * 0.5f), 0.f, Few::Limit) + 1.f;
  }
  BITWRIGHT_INLINE Codes clamped(Codes c) { return {odd(c.scale), floats{}}; }

  BITWRIGHT_INLINE void fit(const floats* x, const floats* w, floats& d, floats& dmin) {
    floats scale[groups], curvature[groups];
    for (int g = 0; g < groups; g++)
      best_grid_scale(Whole{Format::table()}, x + g * N, w + g * N, scale[g], curvature[g]);
    for (int k = 0; k < kLanes; k++) {
      float wanted[groups], curvatures[groups];
      for (int g = 0; g < groups; g++) wanted[g] = scale[g][k], curvatures[g] = curvature[g][k];
      d[k] = best_unit(wanted, curvatures, groups, Few::Limit);
    }
    d = as_half(d * static_cast<float>(Few::Divisor)) * inverse_divisor;
    dmin = floats{};
  }

  BITWRIGHT_INLINE void propose(const floats* x, const floats* w, floats d, floats, Codes* tried) {
    floats scale, curvature;
    best_grid_scale(Whole{Format::table()}, x, w, scale, curvature);
    const floats nearest = odd(scale * reciprocal(d));
    for (int i = 0; i < candidates; i++) tried[i] = clamped(Codes{nearest + static_cast<float>(2 * i - 2), floats{}});
  }

  // Grid values of x (Step) at a scale.
  BITWRIGHT_INLINE void round(const floats* x, const floats* w, floats scale, floats, floats* value) {
    Points<Step, Few::Dim> points = {};
    Few{Format::table()}.choose(x, w, scale, points);
    std::copy(points.code, points.code + Step, value);
  }

  // Of kLanes rows: value (unit) to the blocks, `stride` apart.
  BITWRIGHT_INLINE void pack(Block* y, int64_t stride, int64_t rows, const floats* value, const floats* scale,
                             const floats*, floats d, floats) {
    ints index[unit / Few::Dim];
    for (int j = 0; j < unit; j += Step) {  // what was chosen is its own nearest point
      floats ones[Step];
      for (floats& w : ones) w = splat(1.f);
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
      pack_points(chosen, to_half(d[k] * Few::Divisor), y[k * stride]);
    }
  }
};
