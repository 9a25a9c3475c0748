// Formats whose codes come from a table or a grid: IQ4, FP4, and IQ3 to IQ1 (block_format.h explains the members).
#pragma once
#include "block_format.h"

namespace bitwright {
namespace {

// -- codebooks of 16 values

inline void look_up(const uint8_t* packed, int bytes, const int8_t* table, int8_t* out) {
  for (int j = 0; j < bytes; ++j) {
    out[j] = table[packed[j] & 15];
    out[j + bytes] = table[packed[j] >> 4];
  }
}

struct IQ4_NL : Numbers<4, 0, 255, Kind::half, 32, 32> {
  using Block = block_iq4_nl;
  static constexpr FormatId id = FormatId::iq4_nl;
  static constexpr bool needs_codebooks = true;
  static int level(int i) { return codebooks.iq4_nl[i]; }
  static void codes(const Block& b, int, int8_t* out) { look_up(b.qs, 16, codebooks.iq4_nl, out); }
  static half_t scale(const Block& b) { return b.d; }
};

struct IQ4_XS : Numbers<4, 0, 255, Kind::super, 32, 256> {
  using Block = block_iq4_xs;
  static constexpr FormatId id = FormatId::iq4_xs;
  static constexpr bool needs_codebooks = true;
  static int level(int i) { return codebooks.iq4_nl[i]; }
  static void codes(const Block& b, int g, int8_t* out) { look_up(b.qs + 16 * g, 16, codebooks.iq4_nl, out); }
  static half_t scale(const Block& b) { return b.d; }
  static int sub_scale(const Block& b, int i) {
    return ((b.scales_l[i / 2] >> 4 * (i % 2) & 15) | (b.scales_h >> 2 * i & 3) << 4) - 32;
  }
};

constexpr int8_t e2m1_doubled[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                     0, -1, -2, -3, -4, -6, -8, -12};  // OCP MX E2M1, times two

struct MXFP4 : Numbers<4, 12, 24, Kind::e8m0, 32, 32> {
  using Block = block_mxfp4;
  static constexpr FormatId id = FormatId::mxfp4;
  static int level(int i) { return e2m1_doubled[i]; }
  static void codes(const Block& b, int, int8_t* out) { look_up(b.qs, 16, e2m1_doubled, out); }
  static uint8_t e(const Block& b) { return b.e; }
};

struct NVFP4 : Numbers<4, 12, 24, Kind::ue4m3, 16, 64> {
  using Block = block_nvfp4;
  static constexpr FormatId id = FormatId::nvfp4;
  static int level(int i) { return e2m1_doubled[i]; }
  static void codes(const Block& b, int g, int8_t* out) {
    look_up(b.qs + 16 * g, 8, e2m1_doubled, out);
    look_up(b.qs + 16 * g + 8, 8, e2m1_doubled, out + 16);
  }
  static uint8_t e(const Block& b, int i) { return b.d[i]; }
};

// -- grids: an index selects 8 (or 4) magnitudes, and a byte holds their signs. Where only 7 signs are stored, the 8th
// makes the number of negative values even

inline void signed_grid(const uint8_t* grid, unsigned signs, int count, int8_t* out) {
  for (int j = 0; j < count; ++j) out[j] = int8_t(signs >> j & 1 ? -grid[j] : grid[j]);
}
inline unsigned even_signs(unsigned seven) { return seven | unsigned(__builtin_parity(seven)) << 7; }

struct IQ2 : Numbers<3, 43, 86, Kind::super, 16, 256> {  // (0.5 + s) / 4 = (2 s + 1) / 8, exactly
  static constexpr bool needs_codebooks = true;
  static constexpr float factor = 0.125f;
  static int level(int i) { return (i & 4 ? -1 : 1) * codebooks.iq2_levels[i & 3]; }
};

struct IQ2_XXS : IQ2 {
  using Block = block_iq2_xxs;
  static constexpr FormatId id = FormatId::iq2_xxs;
  static void codes(const Block& b, int g, int8_t* out) {
    const uint8_t* index = reinterpret_cast<const uint8_t*>(b.qs + 4 * g);
    const uint32_t signs = load32(b.qs + 4 * g + 2);
    for (int l = 0; l < 4; ++l)
      signed_grid(codebooks.iq2_xxs[index[l]], even_signs(signs >> 7 * l & 127), 8, out + 8 * l);
  }
  static half_t scale(const Block& b) { return b.d; }
  static int sub_scale(const Block& b, int i) { return 2 * int(load32(b.qs + 4 * (i / 2) + 2) >> 28) + 1; }
};

struct IQ2_XS : IQ2 {
  using Block = block_iq2_xs;
  static constexpr FormatId id = FormatId::iq2_xs;
  static void codes(const Block& b, int g, int8_t* out) {
    for (int l = 0; l < 4; ++l) {
      const unsigned q = b.qs[4 * g + l];
      signed_grid(codebooks.iq2_xs[q & 511], even_signs(q >> 9), 8, out + 8 * l);
    }
  }
  static half_t scale(const Block& b) { return b.d; }
  static int sub_scale(const Block& b, int i) { return 2 * (b.scales[i / 2] >> 4 * (i % 2) & 15) + 1; }
};

struct IQ2_S : IQ2 {
  using Block = block_iq2_s;
  static constexpr FormatId id = FormatId::iq2_s;
  static void codes(const Block& b, int g, int8_t* out) {
    for (int l = 0; l < 4; ++l) {
      const int index = b.qs[4 * g + l] | (b.qh[g] >> 2 * l & 3) << 8;
      signed_grid(codebooks.iq2_s[index], b.qs[32 + 4 * g + l], 8, out + 8 * l);
    }
  }
  static half_t scale(const Block& b) { return b.d; }
  static int sub_scale(const Block& b, int i) { return 2 * (b.scales[i / 2] >> 4 * (i % 2) & 15) + 1; }
};

struct IQ3_XXS : Numbers<4, 62, 124, Kind::super, 32, 256> {  // (0.5 + s) / 2 = (2 s + 1) / 4
  using Block = block_iq3_xxs;
  static constexpr FormatId id = FormatId::iq3_xxs;
  static constexpr bool needs_codebooks = true;
  static constexpr float factor = 0.25f;
  static int level(int i) { return (i & 8 ? -1 : 1) * codebooks.iq3_xxs_levels[i & 7]; }
  static void codes(const Block& b, int g, int8_t* out) {
    const uint32_t signs = load32(b.qs + 64 + 4 * g);
    for (int l = 0; l < 8; ++l) {
      signed_grid(codebooks.iq3_xxs[b.qs[8 * g + l]], even_signs(signs >> 7 * (l / 2) & 127) >> 4 * (l % 2), 4,
                  out + 4 * l);
    }
  }
  static half_t scale(const Block& b) { return b.d; }
  static int sub_scale(const Block& b, int i) { return 2 * int(load32(b.qs + 64 + 4 * i) >> 28) + 1; }
};

struct IQ3_S : Numbers<4, 15, 30, Kind::super, 32, 256> {
  using Block = block_iq3_s;
  static constexpr FormatId id = FormatId::iq3_s;
  static constexpr bool needs_codebooks = true;
  static int level(int i) { return (i & 8 ? -1 : 1) * codebooks.iq3_s_levels[i & 7]; }
  static void codes(const Block& b, int g, int8_t* out) {
    for (int l = 0; l < 8; ++l) {
      const int index = b.qs[8 * g + l] | (b.qh[g] >> l & 1) << 8;
      signed_grid(codebooks.iq3_s[index], b.signs[4 * g + l / 2] >> 4 * (l % 2), 4, out + 4 * l);
    }
  }
  static half_t scale(const Block& b) { return b.d; }
  static int sub_scale(const Block& b, int i) { return 2 * (b.scales[i / 2] >> 4 * (i % 2) & 15) + 1; }
};

// A grid of -1, 0, 1, where each 8 (or 32) weights are shifted together by +-1/8: in eighths the codes are 8 g +- 1.
struct IQ1 : Numbers<3, 9, 18, Kind::super, 16, 256> {
  static constexpr bool needs_codebooks = true;
  static constexpr float factor = 0.125f;
  static int level(int i) { return 8 * (i % 3 - 1) + (i & 7) / 3 * 2 - 1; }  // three shifted by -1/8, three by +1/8
  static void shifted(const int8_t* grid, bool minus, int8_t* out) {
    for (int j = 0; j < 8; ++j) out[j] = int8_t(8 * grid[j] + (minus ? -1 : 1));
  }
};

struct IQ1_S : IQ1 {
  using Block = block_iq1_s;
  static constexpr FormatId id = FormatId::iq1_s;
  static void codes(const Block& b, int g, int8_t* out) {
    for (int l = 0; l < 4; ++l) {
      shifted(codebooks.iq1[b.qs[4 * g + l] | (b.qh[g] >> 3 * l & 7) << 8], b.qh[g] & 0x8000, out + 8 * l);
    }
  }
  static half_t scale(const Block& b) { return b.d; }
  static int sub_scale(const Block& b, int i) { return 2 * (b.qh[i / 2] >> 12 & 7) + 1; }
};

struct IQ1_M : IQ1 {
  using Block = block_iq1_m;
  static constexpr FormatId id = FormatId::iq1_m;
  static int word(const Block& b, int i) { return b.scales[2 * i] | b.scales[2 * i + 1] << 8; }
  static void codes(const Block& b, int g, int8_t* out) {
    for (int l = 0; l < 4; ++l) {
      const int high = b.qh[2 * g + l / 2] >> 4 * (l % 2);
      shifted(codebooks.iq1[b.qs[4 * g + l] | (high & 7) << 8], high & 8, out + 8 * l);
    }
  }
  static half_t scale(const Block& b) {  // its four nibbles are the top nibbles of the four scale words
    return half_t(word(b, 0) >> 12 | (word(b, 1) >> 12) << 4 | (word(b, 2) >> 12) << 8 | (word(b, 3) >> 12) << 12);
  }
  static int sub_scale(const Block& b, int i) { return 2 * (word(b, i / 4) >> 3 * (i % 4) & 7) + 1; }
};

}  // namespace
}  // namespace bitwright
