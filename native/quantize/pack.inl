// Placing codes into a block's bytes.

BITWRIGHT_INLINE void pack_nibbles(const uint8_t* codes, uint8_t* qs) {      // 32 codes, the later half in the high nibbles
  for (int i = 0; i < 16; i++) qs[i] = (codes[i] & 15) | (codes[i + 16] & 15) << 4;
}

BITWRIGHT_INLINE void pack_nibbles_64(const uint8_t* codes, uint8_t* qs) {   // 256 codes in runs of 64, 32 low and 32 high nibbles
  for (int run = 0; run < 4; run++)
    for (int i = 0; i < 32; i++) qs[32 * run + i] = (codes[64 * run + i] & 15) | (codes[64 * run + i + 32] & 15) << 4;
}

BITWRIGHT_INLINE void pack_pairs(const uint8_t* codes, uint8_t* qs) {        // the low two bits of 256 codes, 128 to a run
  for (int run = 0; run < 2; run++)
    for (int i = 0; i < 32; i++) {
      const uint8_t* c = codes + 128 * run + i;
      qs[32 * run + i] = (c[0] & 3) | (c[32] & 3) << 2 | (c[64] & 3) << 4 | (c[96] & 3) << 6;
    }
}

BITWRIGHT_INLINE void pack_fifth_bits(const uint8_t* codes, uint8_t* qh) {   // bit 4 of 32 codes
  uint32_t bits = 0;
  for (int i = 0; i < 32; i++) bits |= static_cast<uint32_t>(codes[i] >> 4 & 1) << i;
  for (int i = 0; i < 4; i++) qh[i] = static_cast<uint8_t>(bits >> (8 * i));
}
