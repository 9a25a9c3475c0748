// What a block format contributes to the engine: how the codes and scales of a group of 32 columns lie in a block, as numbers
//     w = scale * code + min
// with one scale and min per 16 columns, computed in ggml's order, so that `dequantize` equals ggml bit for bit.
// A format is a struct with the static members below; everything else (layouts, kernels, dequantize) is derived from them.
//
//   Block, id, columns       the bytes, the GGUF type, and the columns of one block
//   codes(b, g, out)         the 32 signed codes of group g of the block
//   kind                     how scales are stored, and with it which accessors exist (i counts sub-blocks of `sub` columns):
//     half      d(b) [m(b)]                        float16 per 32 columns, and a min
//     super     d(b) sub(b, i) [dmin(b) submin(b, i)], factor    scale = d * factor * sub, min = -(dmin * submin)
//     e8m0      e(b)      ue4m3  e(b, i)     real  d(b)
//   bits, offset, highest    packed codes are unsigned: code + offset, at most `highest`, stored in `bits` bits; or, with
//   level(i)                 (codebook formats) bits index a table of 16 codes; `offset` then makes those unsigned
//   full                     codes need all of int8: no offset makes them small, so each tier chooses its own
#pragma once
#include "codebooks.h"
#include "fp.h"

namespace bitwright {
namespace {

enum class Kind { half, super, e8m0, ue4m3, real };

template <int kBits, int kOffset, int kHighest, Kind kKind, int kSub, int kColumns>
struct Numbers {
  static constexpr int bits = kBits, offset = kOffset, highest = kHighest, sub_columns = kSub, columns = kColumns;
  static constexpr Kind kind = kKind;
  static constexpr bool full = kHighest > 127;
  static constexpr float factor = 1.0f;
};

template <class F>
concept HasMin =
    requires(const typename F::Block& b) { F::m(b); } || requires(const typename F::Block& b) { F::dmin(b); };
template <class F>
concept HasTable = requires { F::level(0); };

inline void nibbles(const uint8_t* qs, int bias, int8_t* out) {
  for (int j = 0; j < 16; ++j) {
    out[j] = int8_t((qs[j] & 15) - bias);
    out[j + 16] = int8_t((qs[j] >> 4) - bias);
  }
}

inline uint32_t load32(const void* p) {
  uint32_t v;
  __builtin_memcpy(&v, p, 4);
  return v;
}

// -- one scale per 32 columns

struct Q4_0 : Numbers<4, 8, 15, Kind::half, 32, 32> {
  using Block = block_q4_0;
  static constexpr FormatId id = FormatId::q4_0;
  static void codes(const Block& b, int, int8_t* out) { nibbles(b.qs, 8, out); }
  static half_t d(const Block& b) { return b.d; }
};

struct Q4_1 : Numbers<4, 0, 15, Kind::half, 32, 32> {
  using Block = block_q4_1;
  static constexpr FormatId id = FormatId::q4_1;
  static void codes(const Block& b, int, int8_t* out) { nibbles(b.qs, 0, out); }
  static half_t d(const Block& b) { return b.d; }
  static half_t m(const Block& b) { return b.m; }
};

inline void fifth_bits(const uint8_t* qh, int8_t* out) {
  const uint32_t high = load32(qh);
  for (int j = 0; j < 32; ++j) out[j] = int8_t(out[j] + ((high >> j & 1) << 4));
}

struct Q5_0 : Numbers<5, 16, 31, Kind::half, 32, 32> {
  using Block = block_q5_0;
  static constexpr FormatId id = FormatId::q5_0;
  static void codes(const Block& b, int, int8_t* out) {
    nibbles(b.qs, 16, out);
    fifth_bits(b.qh, out);
  }
  static half_t d(const Block& b) { return b.d; }
};

struct Q5_1 : Numbers<5, 0, 31, Kind::half, 32, 32> {
  using Block = block_q5_1;
  static constexpr FormatId id = FormatId::q5_1;
  static void codes(const Block& b, int, int8_t* out) {
    nibbles(b.qs, 0, out);
    fifth_bits(b.qh, out);
  }
  static half_t d(const Block& b) { return b.d; }
  static half_t m(const Block& b) { return b.m; }
};

struct Q8_0 : Numbers<8, 0, 255, Kind::half, 32, 32> {
  using Block = block_q8_0;
  static constexpr FormatId id = FormatId::q8_0;
  static void codes(const Block& b, int, int8_t* out) { __builtin_memcpy(out, b.qs, 32); }
  static half_t d(const Block& b) { return b.d; }
};

struct Q8_K : Numbers<8, 0, 255, Kind::real, 32, 256> {
  using Block = block_q8_k;
  static constexpr FormatId id = FormatId::q8_k;
  static void codes(const Block& b, int g, int8_t* out) { __builtin_memcpy(out, b.qs + 32 * g, 32); }
  static float d(const Block& b) { return b.d; }
};

// -- K-quants: a superblock of 256 with a float16 scale over small integer ones

inline void two_bits(const uint8_t* qs, int g, int8_t* out) {  // 32 bytes hold four groups, one in each pair of bits
  for (int j = 0; j < 32; ++j) out[j] = int8_t(qs[32 * (g / 4) + j] >> 2 * (g % 4) & 3);
}

struct Q2_K : Numbers<2, 0, 3, Kind::super, 16, 256> {
  using Block = block_q2_k;
  static constexpr FormatId id = FormatId::q2_k;
  static void codes(const Block& b, int g, int8_t* out) { two_bits(b.qs, g, out); }
  static half_t d(const Block& b) { return b.d; }
  static half_t dmin(const Block& b) { return b.dmin; }
  static int sub(const Block& b, int i) { return b.scales[i] & 15; }
  static int submin(const Block& b, int i) { return b.scales[i] >> 4; }
};

struct Q3_K : Numbers<3, 4, 7, Kind::super, 16, 256> {
  using Block = block_q3_k;
  static constexpr FormatId id = FormatId::q3_k;
  static void codes(const Block& b, int g, int8_t* out) {
    two_bits(b.qs, g, out);
    for (int j = 0; j < 32; ++j) out[j] = int8_t(out[j] - (b.hmask[j] >> g & 1 ? 0 : 4));
  }
  static half_t d(const Block& b) { return b.d; }
  static int sub(const Block& b, int i) {  // low 4 bits in bytes 0 to 7, high 2 bits in bytes 8 to 11
    const int low = b.scales[i % 8] >> 4 * (i / 8) & 15, high = b.scales[8 + i % 4] >> 2 * (i / 4) & 3;
    return (low | high << 4) - 32;
  }
};

// Eight 6-bit scales and eight 6-bit mins in 12 bytes: the first four of each whole, the rest split over two places.
inline int sub6(const uint8_t* s, int i) { return i < 4 ? s[i] & 63 : (s[i + 4] & 15) | (s[i - 4] >> 6) << 4; }
inline int submin6(const uint8_t* s, int i) { return i < 4 ? s[i + 4] & 63 : s[i + 4] >> 4 | (s[i] >> 6) << 4; }

inline void nibble_plane(const uint8_t* qs, int g, int8_t* out) {  // 32 bytes hold two groups, one in each nibble
  for (int j = 0; j < 32; ++j) out[j] = int8_t(qs[32 * (g / 2) + j] >> 4 * (g % 2) & 15);
}

struct Q4_K : Numbers<4, 0, 15, Kind::super, 32, 256> {
  using Block = block_q4_k;
  static constexpr FormatId id = FormatId::q4_k;
  static void codes(const Block& b, int g, int8_t* out) { nibble_plane(b.qs, g, out); }
  static half_t d(const Block& b) { return b.d; }
  static half_t dmin(const Block& b) { return b.dmin; }
  static int sub(const Block& b, int i) { return sub6(b.scales, i); }
  static int submin(const Block& b, int i) { return submin6(b.scales, i); }
};

struct Q5_K : Numbers<5, 0, 31, Kind::super, 32, 256> {
  using Block = block_q5_k;
  static constexpr FormatId id = FormatId::q5_k;
  static void codes(const Block& b, int g, int8_t* out) {
    nibble_plane(b.qs, g, out);
    for (int j = 0; j < 32; ++j) out[j] = int8_t(out[j] | (b.qh[j] >> g & 1) << 4);
  }
  static half_t d(const Block& b) { return b.d; }
  static half_t dmin(const Block& b) { return b.dmin; }
  static int sub(const Block& b, int i) { return sub6(b.scales, i); }
  static int submin(const Block& b, int i) { return submin6(b.scales, i); }
};

struct Q6_K : Numbers<6, 32, 63, Kind::super, 16, 256> {
  using Block = block_q6_k;
  static constexpr FormatId id = FormatId::q6_k;
  static void codes(const Block& b, int g, int8_t* out) {  // each half of 128: 64 bytes of nibbles, 32 bytes of pairs
    const int half = g / 4, q = g % 4;
    const uint8_t* low = b.ql + 64 * half + 32 * (q % 2);
    for (int j = 0; j < 32; ++j) {
      out[j] = int8_t(((low[j] >> 4 * (q / 2) & 15) | (b.qh[32 * half + j] >> 2 * q & 3) << 4) - 32);
    }
  }
  static half_t d(const Block& b) { return b.d; }
  static int sub(const Block& b, int i) { return b.scales[i]; }
};

// -- one or two bits

struct Q1_0 : Numbers<2, 1, 3, Kind::half, 32, 128> {
  using Block = block_q1_0;
  static constexpr FormatId id = FormatId::q1_0;
  static void codes(const Block& b, int g, int8_t* out) {
    for (int j = 0; j < 32; ++j) out[j] = (b.qs[4 * g + j / 8] >> j % 8 & 1) ? 1 : -1;
  }
  static half_t d(const Block& b) { return b.d; }
};

struct Q2_0 : Numbers<2, 1, 3, Kind::half, 32, 64> {
  using Block = block_q2_0;
  static constexpr FormatId id = FormatId::q2_0;
  static void codes(const Block& b, int g, int8_t* out) {
    for (int j = 0; j < 32; ++j) out[j] = int8_t((b.qs[8 * g + j / 4] >> 2 * (j % 4) & 3) - 1);
  }
  static half_t d(const Block& b) { return b.d; }
};

// -- ternary

struct TQ2_0 : Numbers<2, 1, 3, Kind::super, 32, 256> {
  using Block = block_tq2_0;
  static constexpr FormatId id = FormatId::tq2_0;
  static void codes(const Block& b, int g, int8_t* out) {
    two_bits(b.qs, g, out);
    for (int j = 0; j < 32; ++j) out[j] = int8_t(out[j] - 1);
  }
  static half_t d(const Block& b) { return b.d; }
  static int sub(const Block&, int) { return 1; }
};

struct TQ1_0 : Numbers<2, 1, 3, Kind::super, 32, 256> {
  using Block = block_tq1_0;
  static constexpr FormatId id = FormatId::tq1_0;
  // Five ternary digits a byte as a fraction of 243/256: times 3^n, modulo 256, the top digit is the n-th. Runs of 32 bytes
  // (160 weights), 16 bytes (80), and 4 bytes with four digits (16).
  static int digit(uint8_t q, int n) {
    constexpr uint8_t pow3[5] = {1, 3, 9, 27, 81};
    return (uint8_t(q * pow3[n]) * 3 >> 8) - 1;
  }
  static void codes(const Block& b, int g, int8_t* out) {
    for (int j = 0; j < 32; ++j) {
      const int c = 32 * g + j;
      out[j] = int8_t(c < 160   ? digit(b.qs[c % 32], c / 32)
                      : c < 240 ? digit(b.qs[32 + (c - 160) % 16], (c - 160) / 16)
                                : digit(b.qh[(c - 240) % 4], (c - 240) / 4));
    }
  }
  static half_t d(const Block& b) { return b.d; }
  static int sub(const Block&, int) { return 1; }
};

// -- codebooks of 16 values

inline void look_up(const uint8_t* qs, int bytes, const int8_t* table, int8_t* out) {
  for (int j = 0; j < bytes; ++j) {
    out[j] = table[qs[j] & 15];
    out[j + bytes] = table[qs[j] >> 4];
  }
}

struct IQ4_NL : Numbers<4, 0, 255, Kind::half, 32, 32> {
  using Block = block_iq4_nl;
  static constexpr FormatId id = FormatId::iq4_nl;
  static int level(int i) { return codebooks.iq4_nl[i]; }
  static void codes(const Block& b, int, int8_t* out) { look_up(b.qs, 16, codebooks.iq4_nl, out); }
  static half_t d(const Block& b) { return b.d; }
};

struct IQ4_XS : Numbers<4, 0, 255, Kind::super, 32, 256> {
  using Block = block_iq4_xs;
  static constexpr FormatId id = FormatId::iq4_xs;
  static int level(int i) { return codebooks.iq4_nl[i]; }
  static void codes(const Block& b, int g, int8_t* out) { look_up(b.qs + 16 * g, 16, codebooks.iq4_nl, out); }
  static half_t d(const Block& b) { return b.d; }
  static int sub(const Block& b, int i) {
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

// -- grids: each index names 8 (or 4) magnitudes, and a byte their signs; of 7 stored bits, an 8th makes the parity even

inline void signed_grid(const uint8_t* grid, unsigned signs, int count, int8_t* out) {
  for (int j = 0; j < count; ++j) out[j] = int8_t(signs >> j & 1 ? -grid[j] : grid[j]);
}
inline unsigned even_signs(unsigned seven) { return seven | unsigned(__builtin_parity(seven)) << 7; }

struct IQ2 : Numbers<3, 43, 86, Kind::super, 16, 256> {  // the scale is d * (0.5 + s) / 4 = d / 8 * (2 s + 1), exactly
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
  static half_t d(const Block& b) { return b.d; }
  static int sub(const Block& b, int i) { return 2 * int(load32(b.qs + 4 * (i / 2) + 2) >> 28) + 1; }
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
  static half_t d(const Block& b) { return b.d; }
  static int sub(const Block& b, int i) { return 2 * (b.scales[i / 2] >> 4 * (i % 2) & 15) + 1; }
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
  static half_t d(const Block& b) { return b.d; }
  static int sub(const Block& b, int i) { return 2 * (b.scales[i / 2] >> 4 * (i % 2) & 15) + 1; }
};

struct IQ3_XXS : Numbers<4, 62, 124, Kind::super, 32, 256> {  // scale d * (0.5 + s) / 2 = d / 4 * (2 s + 1)
  using Block = block_iq3_xxs;
  static constexpr FormatId id = FormatId::iq3_xxs;
  static constexpr float factor = 0.25f;
  static int level(int i) { return (i & 8 ? -1 : 1) * codebooks.iq3_xxs_levels[i & 7]; }
  static void codes(const Block& b, int g, int8_t* out) {
    const uint32_t signs = load32(b.qs + 64 + 4 * g);
    for (int l = 0; l < 8; ++l) {
      signed_grid(codebooks.iq3_xxs[b.qs[8 * g + l]], even_signs(signs >> 7 * (l / 2) & 127) >> 4 * (l % 2), 4,
                  out + 4 * l);
    }
  }
  static half_t d(const Block& b) { return b.d; }
  static int sub(const Block& b, int i) { return 2 * int(load32(b.qs + 64 + 4 * i) >> 28) + 1; }
};

struct IQ3_S : Numbers<4, 15, 30, Kind::super, 32, 256> {
  using Block = block_iq3_s;
  static constexpr FormatId id = FormatId::iq3_s;
  static int level(int i) { return (i & 8 ? -1 : 1) * codebooks.iq3_s_levels[i & 7]; }
  static void codes(const Block& b, int g, int8_t* out) {
    for (int l = 0; l < 8; ++l) {
      const int index = b.qs[8 * g + l] | (b.qh[g] >> l & 1) << 8;
      signed_grid(codebooks.iq3_s[index], b.signs[4 * g + l / 2] >> 4 * (l % 2), 4, out + 4 * l);
    }
  }
  static half_t d(const Block& b) { return b.d; }
  static int sub(const Block& b, int i) { return 2 * (b.scales[i / 2] >> 4 * (i % 2) & 15) + 1; }
};

// A grid of -1, 0, 1 and, per 8 (or 32) weights, a shift of all by +-1/8: in eighths the codes are 8 g +- 1.
struct IQ1 : Numbers<3, 9, 18, Kind::super, 16, 256> {
  static constexpr float factor = 0.125f;
  static int level(int i) { return 8 * (i % 3 - 1) + (i & 7) / 3 * 2 - 1; }  // three of -1/8, three of +1/8
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
  static half_t d(const Block& b) { return b.d; }
  static int sub(const Block& b, int i) { return 2 * (b.qh[i / 2] >> 12 & 7) + 1; }
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
  static half_t d(const Block& b) {  // its four nibbles are the top ones of the four scale words
    return half_t(word(b, 0) >> 12 | (word(b, 1) >> 12) << 4 | (word(b, 2) >> 12) << 8 | (word(b, 3) >> 12) << 12);
  }
  static int sub(const Block& b, int i) { return 2 * (word(b, i / 4) >> 3 * (i % 4) & 7) + 1; }
};

// -- derived from the above

template <class F> float scale_of(const typename F::Block& b, int i) {
  if constexpr (F::kind == Kind::half)
    return half_to_float(F::d(b));
  else if constexpr (F::kind == Kind::super)
    return half_to_float(F::d(b)) * F::factor * float(F::sub(b, i));
  else if constexpr (F::kind == Kind::e8m0)
    return e8m0_half_to_float(F::e(b));
  else if constexpr (F::kind == Kind::ue4m3)
    return ue4m3_half_to_float(F::e(b, i));
  else
    return F::d(b);
}

// Without a min, adding -0.0 leaves every number as it is, the sign of zero included.
template <class F> float min_of(const typename F::Block& b, int i) {
  if constexpr (!HasMin<F>)
    return -0.0f;
  else if constexpr (F::kind == Kind::half)
    return half_to_float(F::m(b));
  else
    return -(half_to_float(F::dmin(b)) * float(F::submin(b, i)));
}

template <class F> const typename F::Block& block_of(const uint8_t* row, int64_t group) {
  return reinterpret_cast<const typename F::Block*>(row)[group / (F::columns / 32)];
}

template <class F> constexpr int64_t row_bytes_of(int64_t columns) {
  return columns / F::columns * int64_t(sizeof(typename F::Block));
}

// Calls f.template operator()<F>() with the struct of the format; false when it is no block format.
template <class Fn> bool with_block_format(FormatId id, Fn&& f) {
  auto one = [&]<class F>() { return id == F::id && (f.template operator()<F>(), true); };
  auto any = [&]<class... Fs>() { return (one.template operator()<Fs>() || ...); };
  return any
      .template operator()<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K, IQ4_NL, IQ4_XS, MXFP4,
                           NVFP4, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ1_S, IQ1_M, TQ1_0, TQ2_0, Q1_0, Q2_0>();
}

}  // namespace
}  // namespace bitwright
