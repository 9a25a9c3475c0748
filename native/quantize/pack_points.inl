// Packs grid points, signs and scales into the bytes of IQ1 to IQ3 blocks.

// What the formats store for a superblock, in the order of its values: the index of each point, the signs of each eight
// values, whether each eight are moved down, the integer of each sub-block.
template <class Grid>
struct Chosen {
  uint16_t index[kSuper / Grid::Dim];
  uint8_t signs[32], down[32], scale[kSuper / Grid::N];

  template <int Count>
  BITWRIGHT_FORCE void take(const Super<Grid::N>& s, const Ints (&indices)[Count][Grid::N / Grid::Dim]) {
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
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t super_scale, block_iq2_xxs& y) {
  y.d = super_scale;
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
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t super_scale, block_iq2_xs& y) {
  y.d = super_scale;
  for (int t = 0; t < 32; t++) y.qs[t] = static_cast<uint16_t>(c.index[t] | (c.signs[t] & 127) << 9);
  for (int j = 0; j < 8; j++) y.scales[j] = static_cast<uint8_t>(c.scale[2 * j] | c.scale[2 * j + 1] << 4);
}

template <class Chosen>
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t super_scale, block_iq2_s& y) {
  y.d = super_scale;
  std::memset(y.qh, 0, sizeof y.qh);
  for (int t = 0; t < 32; t++) {
    y.qs[t] = static_cast<uint8_t>(c.index[t]);
    y.qs[32 + t] = c.signs[t];
    y.qh[t / 4] |= c.index[t] >> 8 << 2 * (t % 4);
  }
  for (int j = 0; j < 8; j++) y.scales[j] = static_cast<uint8_t>(c.scale[2 * j] | c.scale[2 * j + 1] << 4);
}

template <class Chosen>
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t super_scale, block_iq3_xxs& y) {
  y.d = super_scale;
  for (int t = 0; t < 64; t++) y.qs[t] = static_cast<uint8_t>(c.index[t]);
  for (int j = 0; j < 8; j++) {
    uint32_t word = static_cast<uint32_t>(c.scale[j]) << 28;
    for (int t = 0; t < 4; t++) word |= static_cast<uint32_t>(c.signs[4 * j + t] & 127) << 7 * t;
    store32(word, y.qs + 64 + 4 * j);
  }
}

template <class Chosen>
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t super_scale, block_iq3_s& y) {
  y.d = super_scale;
  std::memset(y.qh, 0, sizeof y.qh);
  for (int t = 0; t < 64; t++) {
    y.qs[t] = static_cast<uint8_t>(c.index[t]);
    y.qh[t / 8] |= c.index[t] >> 8 << t % 8;
  }
  std::memcpy(y.signs, c.signs, sizeof y.signs);
  for (int j = 0; j < 4; j++) y.scales[j] = static_cast<uint8_t>(c.scale[2 * j] | c.scale[2 * j + 1] << 4);
}

template <class Chosen>
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t super_scale, block_iq1_s& y) {
  y.d = super_scale;
  for (int j = 0; j < 8; j++) {
    y.qh[j] = static_cast<uint16_t>(c.scale[j] << 12 | c.down[4 * j] << 15);
    for (int t = 0; t < 4; t++) {
      y.qs[4 * j + t] = static_cast<uint8_t>(c.index[4 * j + t]);
      y.qh[j] |= static_cast<uint16_t>(c.index[4 * j + t] >> 8 << 3 * t);
    }
  }
}

template <class Chosen>
BITWRIGHT_INLINE void pack_points(const Chosen& c, half_t super_scale, block_iq1_m& y) {
  for (int t = 0; t < 32; t += 2) {
    y.qs[t] = static_cast<uint8_t>(c.index[t]);
    y.qs[t + 1] = static_cast<uint8_t>(c.index[t + 1]);
    y.qh[t / 2] =
        static_cast<uint8_t>(c.index[t] >> 8 | c.down[t] << 3 | (c.index[t + 1] >> 8 | c.down[t + 1] << 3) << 4);
  }
  for (int word = 0; word < 4; word++) {  // the scale's nibbles are the top nibbles of the four words
    uint16_t bits = static_cast<uint16_t>((super_scale >> 4 * word & 15) << 12);
    for (int t = 0; t < 4; t++) bits |= static_cast<uint16_t>(c.scale[4 * word + t] << 3 * t);
    std::memcpy(y.scales + 2 * word, &bits, sizeof bits);
  }
}
