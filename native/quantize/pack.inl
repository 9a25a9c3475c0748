// Packs codes into a block's bytes.

BITWRIGHT_INLINE void pack_nibbles(const uint8_t* codes,
                                   uint8_t* packed) {  // 32 codes, the later half in the high nibbles
  for (int i = 0; i < 16; i++) packed[i] = (codes[i] & 15) | (codes[i + 16] & 15) << 4;
}

BITWRIGHT_INLINE void pack_nibbles_64(const uint8_t* codes,
                                      uint8_t* packed) {  // 256 codes in runs of 64, 32 low and 32 high nibbles
  for (int run = 0; run < 4; run++)
    for (int i = 0; i < 32; i++)
      packed[32 * run + i] = (codes[64 * run + i] & 15) | (codes[64 * run + i + 32] & 15) << 4;
}

BITWRIGHT_INLINE void pack_pairs(const uint8_t* codes,
                                 uint8_t* packed) {  // the low two bits of 256 codes, 128 to a run
  for (int run = 0; run < 2; run++)
    for (int i = 0; i < 32; i++) {
      const uint8_t* c = codes + 128 * run + i;
      packed[32 * run + i] = (c[0] & 3) | (c[32] & 3) << 2 | (c[64] & 3) << 4 | (c[96] & 3) << 6;
    }
}

BITWRIGHT_INLINE void pack_fifth_bits(const uint8_t* codes, uint8_t* high) {  // bit 4 of 32 codes
  uint32_t bits = 0;
  for (int i = 0; i < 32; i++) bits |= static_cast<uint32_t>(codes[i] >> 4 & 1) << i;
  for (int i = 0; i < 4; i++) high[i] = static_cast<uint8_t>(bits >> (8 * i));
}

// ---- a whole block from codes (one byte each) and its sub-blocks' integers; the caller stores the float scales ----

BITWRIGHT_INLINE void pack_block(block_q4_0& y, const uint8_t* codes) { pack_nibbles(codes, y.qs); }
BITWRIGHT_INLINE void pack_block(block_q4_1& y, const uint8_t* codes) { pack_nibbles(codes, y.qs); }
BITWRIGHT_INLINE void pack_block(block_q8_0& y, const uint8_t* codes) { std::memcpy(y.qs, codes, 32); }
BITWRIGHT_INLINE void pack_block(block_iq4_nl& y, const uint8_t* codes) { pack_nibbles(codes, y.qs); }
BITWRIGHT_INLINE void pack_block(block_mxfp4& y, const uint8_t* codes) { pack_nibbles(codes, y.qs); }

template <int Bits>  // `codes` one after the other, starting at the lowest bits of a byte
BITWRIGHT_INLINE void pack_run(const uint8_t* codes, uint8_t* packed) {
  for (int i = 0; i < 16; i++) {
    packed[i] = 0;
    for (int j = 0; j < 8 / Bits; j++) packed[i] |= static_cast<uint8_t>(codes[8 / Bits * i + j] << Bits * j);
  }
}
BITWRIGHT_INLINE void pack_block(block_q1_0& y, const uint8_t* codes) { pack_run<1>(codes, y.qs); }
BITWRIGHT_INLINE void pack_block(block_q2_0& y, const uint8_t* codes) { pack_run<2>(codes, y.qs); }

template <class Block>  // block_q5_0, block_q5_1
BITWRIGHT_INLINE void pack_block(Block& y, const uint8_t* codes) {
  pack_nibbles(codes, y.qs);
  pack_fifth_bits(codes, y.qh);
}

BITWRIGHT_INLINE void pack_block(block_nvfp4& y, const uint8_t* codes) {
  for (int g = 0; g < 4; g++)
    for (int i = 0; i < 8; i++) y.qs[8 * g + i] = codes[16 * g + i] | codes[16 * g + i + 8] << 4;
}

BITWRIGHT_INLINE void pack_block(block_q2_k& y, const uint8_t* codes, const int* scale, const int* low) {
  for (int j = 0; j < 16; j++) y.scales[j] = scale[j] | low[j] << 4;
  pack_pairs(codes, y.qs);
}

BITWRIGHT_INLINE void pack_scales_45(const int* scale, const int* low, uint8_t* scales) {
  for (int j = 0; j < 4; j++) {  // six bits each: the first four whole, the rest in nibbles and in the top bits
    scales[j] = scale[j] | scale[j + 4] >> 4 << 6;
    scales[j + 4] = low[j] | low[j + 4] >> 4 << 6;
    scales[j + 8] = (scale[j + 4] & 15) | (low[j + 4] & 15) << 4;
  }
}

BITWRIGHT_INLINE void pack_block(block_q4_k& y, const uint8_t* codes, const int* scale, const int* low) {
  pack_scales_45(scale, low, y.scales);
  pack_nibbles_64(codes, y.qs);
}

BITWRIGHT_INLINE void pack_block(block_q5_k& y, const uint8_t* codes, const int* scale, const int* low) {
  pack_scales_45(scale, low, y.scales);
  pack_nibbles_64(codes, y.qs);
  for (int i = 0; i < 32; i++) {
    y.qh[i] = 0;
    for (int j = 0; j < 8; j++) y.qh[i] |= (codes[32 * j + i] >> 4 & 1) << j;
  }
}

BITWRIGHT_INLINE void pack_block(block_q3_k& y, const uint8_t* codes, const int* scale) {
  std::memset(y.scales, 0, sizeof y.scales);
  for (int j = 0; j < 16; j++) {
    const int stored = scale[j] + 32;
    y.scales[j % 8] |= (stored & 15) << (j < 8 ? 0 : 4);
    y.scales[8 + j % 4] |= stored >> 4 << 2 * (j / 4);
  }
  for (int i = 0; i < 32; i++) {
    y.hmask[i] = 0;
    for (int j = 0; j < 8; j++) y.hmask[i] |= (codes[32 * j + i] >> 2) << j;
  }
  pack_pairs(codes, y.qs);
}

BITWRIGHT_INLINE void pack_block(block_q6_k& y, const uint8_t* codes, const int* scale) {
  for (int j = 0; j < 16; j++) y.scales[j] = static_cast<int8_t>(scale[j]);
  for (int half = 0; half < 2; half++)
    for (int i = 0; i < 32; i++) {
      const uint8_t* c = codes + 128 * half + i;
      y.ql[64 * half + i] = (c[0] & 15) | (c[64] & 15) << 4;
      y.ql[64 * half + i + 32] = (c[32] & 15) | (c[96] & 15) << 4;
      y.qh[32 * half + i] = c[0] >> 4 | c[32] >> 4 << 2 | c[64] >> 4 << 4 | c[96] >> 4 << 6;
    }
}

BITWRIGHT_INLINE void pack_block(block_iq4_xs& y, const uint8_t* codes, const int* scale) {
  y.scales_h = 0;
  std::memset(y.scales_l, 0, sizeof y.scales_l);
  for (int j = 0; j < 8; j++) {
    const int stored = scale[j] + 32;
    y.scales_l[j / 2] |= (stored & 15) << 4 * (j % 2);
    y.scales_h |= stored >> 4 << 2 * j;
    pack_nibbles(codes + 32 * j, y.qs + 16 * j);
  }
}

// ---- blocks with one float16 scale (and min), stored as the b-th; false when a scale is out of float16's range ----

template <class Block, int Size = 32>
struct StoreScale {
  static constexpr int size = Size;
  Block* y;
  BITWRIGHT_FORCE bool operator()(int64_t b, const uint8_t* codes, float scale, float) const {
    y[b].d = to_half(scale);
    pack_block(y[b], codes);
    return !is_infinite(y[b].d);
  }
};

template <class Block>
struct StoreScaleMin {
  static constexpr int size = 32;
  Block* y;
  BITWRIGHT_FORCE bool operator()(int64_t b, const uint8_t* codes, float scale, float low) const {
    y[b].d = to_half(scale);
    y[b].m = to_half(low);
    pack_block(y[b], codes);
    return !is_infinite(y[b].d) && !is_infinite(y[b].m);
  }
};

template <class Store>
BITWRIGHT_INLINE Store store_to(uint8_t* out) {
  return {reinterpret_cast<decltype(Store::y)>(out)};
}

using StoreQ4_0 = StoreScale<block_q4_0>;
using StoreQ4_1 = StoreScaleMin<block_q4_1>;
using StoreQ5_0 = StoreScale<block_q5_0>;
using StoreQ5_1 = StoreScaleMin<block_q5_1>;
using StoreQ8_0 = StoreScale<block_q8_0>;
using StoreIq4Nl = StoreScale<block_iq4_nl>;
using StoreQ1_0 = StoreScale<block_q1_0, 128>;
using StoreQ2_0 = StoreScale<block_q2_0, 64>;
