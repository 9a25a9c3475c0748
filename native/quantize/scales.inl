// What error feedback needs to know about a format: its grid, and how a unit's scales are stored. Lanes are rows here:
// each vector holds one column of kLanes rows. A value is scale * grid + low with
//
//   scale = unit_scale * scale code,   low = -unit_min * low code
//
// In K-quants these codes are integers, and a unit has a float16 unit_scale and unit_min. Elsewhere unit_scale = 1 and
// unit_min = -1, and the "codes" are the stored floats.

// The common part of formats whose values are rounded one by one; P is the format.
template <class P, class Grid>
struct OneByOne {
  static constexpr int step = 1;
  BITWRIGHT_INLINE void round(const Floats* x, const Floats*, Floats scale, Floats low, Floats* value) {
    value[0] = Grid::nearest((x[0] - low) * reciprocal(scale));
  }

  // Stores kLanes rows as blocks `stride` bytes apart, from value (unit), scale and low (sub-blocks).
  template <class Block>
  BITWRIGHT_INLINE void pack(Block* y, int64_t stride, int64_t rows, const Floats* value, const Floats* scale,
                             const Floats* low, Floats unit_scale, Floats unit_min) {
    uint8_t codes[kLanes * P::unit];
    Floats code[P::unit];
    for (int j = 0; j < P::unit; j++) code[j] = Grid::code(value[j]);
    store_lanes<P::unit>(code, codes);
    for (int64_t k = 0; k < rows; k++) {
      float own_scale[P::groups], own_low[P::groups];
      for (int g = 0; g < P::groups; g++) own_scale[g] = scale[g][k], own_low[g] = low[g][k];
      P::pack_one(y[k * stride], codes + k * P::unit, own_scale, own_low, unit_scale[k], unit_min[k]);
    }
  }
};

struct Codes {  // of a sub-block
  Floats scale, low;
};

BITWRIGHT_INLINE Codes select(Ints mask, Codes a, Codes b) {
  return {select(mask, a.scale, b.scale), select(mask, a.low, b.low)};
}

template <int Top>
struct UnsignedGrid {  // 0 .. Top
  BITWRIGHT_INLINE Floats nearest(Floats v) { return clamp(round_even(v), 0.f, Top); }
  BITWRIGHT_INLINE Floats code(Floats v) { return nearest(v); }
};

// Q2_K Q4_K Q5_K
template <class BlockType, int N_, int Top, int Limit>
struct AsymmetricK : OneByOne<AsymmetricK<BlockType, N_, Top, Limit>, UnsignedGrid<Top>> {
  using Block = BlockType;
  using Grid = UnsignedGrid<Top>;
  static constexpr int unit = kSuper, N = N_, groups = unit / N, candidates = 9;
  static constexpr bool lows = true, integers = true;

  BITWRIGHT_INLINE Floats clamped(Floats code) { return clamp(round_even(code), 0.f, Limit); }
  BITWRIGHT_INLINE Codes clamped(Codes c) { return {clamped(c.scale), clamped(c.low)}; }

  // The unit_scale and unit_min for targets x (unit) with weights w.
  BITWRIGHT_INLINE void fit(const Floats* x, const Floats* w, Floats& unit_scale, Floats& unit_min) {
    Floats most{}, deepest{};
    for (int g = 0; g < groups; g++) {
      Floats scale, low;
      best_asymmetric<N, Top, false>(x + g * N, w + g * N, scale, low);
      most = max(most, scale);
      deepest = max(deepest, -low);
    }
    unit_scale = as_half(most / static_cast<float>(Limit));
    unit_min = as_half(deepest / static_cast<float>(Limit));
  }

  // Codes worth trying for a sub-block: around the best fit.
  BITWRIGHT_INLINE void propose(const Floats* x, const Floats* w, Floats unit_scale, Floats unit_min, Codes* tried) {
    Floats scale, low;
    best_asymmetric<N, Top, false>(x, w, scale, low);
    const Floats s = round_even(scale * reciprocal(unit_scale)), l = round_even(-low * reciprocal(unit_min));
    for (int i = 0; i < candidates; i++)
      tried[i] = clamped(Codes{s + static_cast<float>(i % 3 - 1), l + static_cast<float>(i / 3 - 1)});
  }

  BITWRIGHT_INLINE void pack_one(Block& y, const uint8_t* codes, const float* scale, const float* low, float unit_scale,
                                 float unit_min) {
    int s[groups], l[groups];
    for (int g = 0; g < groups; g++) s[g] = static_cast<int>(scale[g]), l[g] = static_cast<int>(low[g]);
    y.d = to_half(unit_scale);
    y.dmin = to_half(unit_min);
    pack_block(y, codes, s, l);
  }
};

// Q3_K Q6_K IQ4_XS: sub-scales of either sign.
template <class BlockType, int N_, class GridType, int Limit>
struct SymmetricK : OneByOne<SymmetricK<BlockType, N_, GridType, Limit>, GridType> {
  using Block = BlockType;
  using Grid = GridType;
  static constexpr int unit = kSuper, N = N_, groups = unit / N, candidates = 6;
  static constexpr bool lows = false, integers = true;

  BITWRIGHT_INLINE Floats clamped(Floats code) { return clamp(round_even(code), -Limit, Limit - 1); }
  BITWRIGHT_INLINE Codes clamped(Codes c) { return {clamped(c.scale), Floats{}}; }

  BITWRIGHT_INLINE void fit(const Floats* x, const Floats* w, Floats& unit_scale, Floats& unit_min) {
    Floats extreme{}, other;
    for (int g = 0; g < groups; g++) {
      const Floats scale = best_symmetric<N, Grid>(x + g * N, w + g * N, kStretch<Grid>, other);
      extreme = select(abs(scale) > abs(extreme), scale, extreme);
    }
    unit_scale = as_half(extreme / static_cast<float>(-Limit));
    unit_min = Floats{};
  }

  BITWRIGHT_INLINE void propose(const Floats* x, const Floats* w, Floats unit_scale, Floats, Codes* tried) {
    Floats found[2];
    found[0] = best_symmetric<N, Grid>(x, w, kStretch<Grid>, found[1]);
    for (int i = 0; i < candidates; i++)
      tried[i] =
          clamped(Codes{round_even(found[i / 3] * reciprocal(unit_scale)) + static_cast<float>(i % 3 - 1), Floats{}});
  }

  BITWRIGHT_INLINE void pack_one(Block& y, const uint8_t* codes, const float* scale, const float*, float unit_scale,
                                 float) {
    int s[groups];
    for (int g = 0; g < groups; g++) s[g] = static_cast<int>(scale[g]);
    y.d = to_half(unit_scale);
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

  BITWRIGHT_INLINE Codes clamped(Codes c) { return {as_half(c.scale), Floats{}}; }
  BITWRIGHT_INLINE void fit(const Floats*, const Floats*, Floats& unit_scale, Floats& unit_min) {
    unit_scale = splat(1.f), unit_min = Floats{};
  }

  BITWRIGHT_INLINE void propose(const Floats* x, const Floats* w, Floats, Floats, Codes* tried) {
    Floats found[2];
    found[0] = best_symmetric<N, Grid>(x, w, kStretch<Grid>, found[1]);
    for (int i = 0; i < candidates; i++)
      tried[i] = clamped(Codes{found[i / 5] * (1.f + 0.03f * static_cast<float>(i % 5 - 2)), Floats{}});
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
  BITWRIGHT_INLINE void fit(const Floats*, const Floats*, Floats& unit_scale, Floats& unit_min) {
    unit_scale = splat(1.f), unit_min = splat(-1.f);
  }

  BITWRIGHT_INLINE void propose(const Floats* x, const Floats* w, Floats, Floats, Codes* tried) {
    Floats scale, low;
    best_asymmetric<N, Top, true>(x, w, scale, low);
    const Floats middle = low + scale * (0.5f * Top);  // a change of the scale keeps the middle in place
    for (int i = 0; i < candidates; i++) {
      const Floats s = scale * (1.f + 0.03f * static_cast<float>(i % 3 - 1));
      tried[i] = clamped(Codes{s, middle - s * (0.5f * Top - 0.25f * static_cast<float>(i / 3 - 1))});
    }
  }

  BITWRIGHT_INLINE void pack_one(Block& y, const uint8_t* codes, const float* scale, const float* low, float, float) {
    y.d = to_half(scale[0]);
    y.m = to_half(low[0]);
    pack_block(y, codes);
  }
};

// MXFP4: a power of two per 32 values.
struct PowerOfTwo : OneByOne<PowerOfTwo, E2m1Grid> {
  using Block = block_mxfp4;
  using Grid = E2m1Grid;
  static constexpr int unit = 32, N = 32, groups = 1, candidates = 3;
  static constexpr bool lows = false, integers = false;

  BITWRIGHT_INLINE Floats power(Floats v) { return (Floats)((Ints)max(v, splat(1.1754944e-38f)) & 0x7f800000); }
  BITWRIGHT_INLINE Codes clamped(Codes c) { return {power(c.scale * (4.f / 3.f)), Floats{}}; }
  BITWRIGHT_INLINE void fit(const Floats*, const Floats*, Floats& unit_scale, Floats& unit_min) {
    unit_scale = splat(1.f), unit_min = Floats{};
  }

  BITWRIGHT_INLINE void propose(const Floats* x, const Floats*, Floats, Floats, Codes* tried) {
    const Floats least = power(abs(signed_extreme<N>(x)) / 12.f);
    tried[0] = {least, Floats{}};
    tried[1] = {2.f * least, Floats{}};
    tried[2] = {max(0.5f * least, splat(1.1754944e-38f)), Floats{}};
  }

  BITWRIGHT_INLINE void pack_one(Block& y, const uint8_t* codes, const float* scale, const float*, float, float) {
    int32_t bits;
    std::memcpy(&bits, scale, sizeof bits);
    y.e = static_cast<uint8_t>((bits >> 23) + 1);
    pack_block(y, codes);
  }
};

// NVFP4: an unsigned e4m3 per 16 values, 64 to a block; the grid is doubled, so the scale is half of the e4m3.
struct Ue4m3 : OneByOne<Ue4m3, E2m1Grid> {
  using Block = block_nvfp4;
  using Grid = E2m1Grid;
  static constexpr int unit = 64, N = 16, groups = 4, candidates = 16;
  static constexpr bool lows = false, integers = false;

  BITWRIGHT_INLINE Codes clamped(Codes c) {
    const Floats v = clamp(2.f * c.scale, 0.f, kLargestUe4m3);
    const Ints bits = (Ints)v, normal = (bits + 0x7ffff + ((bits >> 20) & 1)) & ~0xfffff;
    return {0.5f * select(v < 0.015625f, round_even(v * 512.f) / 512.f, (Floats)normal), Floats{}};
  }
  BITWRIGHT_INLINE void fit(const Floats*, const Floats*, Floats& unit_scale, Floats& unit_min) {
    unit_scale = splat(1.f), unit_min = Floats{};
  }

  BITWRIGHT_INLINE void propose(const Floats* x, const Floats*, Floats, Floats, Codes* tried) {
    const Floats most = abs(signed_extreme<N>(x)) / 12.f;
    for (int i = 0; i < candidates; i++)
      tried[i] = clamped(Codes{most * (0.64f + 0.07f * static_cast<float>(i)), Floats{}});
  }

  BITWRIGHT_INLINE void pack_one(Block& y, const uint8_t* codes, const float* scale, const float*, float, float) {
    for (int g = 0; g < groups; g++) y.d[g] = to_ue4m3(2.f * scale[g]);
    pack_block(y, codes);
  }
};
