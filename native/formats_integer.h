// Formats with integer codes: Q1_0 to Q8_0, the K-quants and the ternary formats (block_format.h explains the members).
#pragma once
#include "block_format.h"

namespace bitwright {
namespace {

inline void nibbles(const uint8_t* packed, int bias, int8_t* out) {
  for (int j = 0; j < 16; ++j) {
    out[j] = int8_t((packed[j] & 15) - bias);
    out[j + 16] = int8_t((packed[j] >> 4) - bias);
  }
}

// -- one scale per 32 columns

struct Q4_0 : Numbers<4, 8, 15, Kind::half, 32, 32> {
  using Block = block_q4_0;
  static constexpr FormatId id = FormatId::q4_0;
  static void codes(const Block& b, int, int8_t* out) { nibbles(b.qs, 8, out); }
  static half_t scale(const Block& b) { return b.d; }
};

struct Q4_1 : Numbers<4, 0, 15, Kind::half, 32, 32> {
  using Block = block_q4_1;
  static constexpr FormatId id = FormatId::q4_1;
  static void codes(const Block& b, int, int8_t* out) { nibbles(b.qs, 0, out); }
  static half_t scale(const Block& b) { return b.d; }
  static half_t min(const Block& b) { return b.m; }
};

inline void fifth_bits(const uint8_t* high_bits, int8_t* out) {
  const uint32_t high = load32(high_bits);
  for (int j = 0; j < 32; ++j) out[j] = int8_t(out[j] + ((high >> j & 1) << 4));
}

struct Q5_0 : Numbers<5, 16, 31, Kind::half, 32, 32> {
  using Block = block_q5_0;
  static constexpr FormatId id = FormatId::q5_0;
  static void codes(const Block& b, int, int8_t* out) {
    nibbles(b.qs, 16, out);
    fifth_bits(b.qh, out);
  }
  static half_t scale(const Block& b) { return b.d; }
};

struct Q5_1 : Numbers<5, 0, 31, Kind::half, 32, 32> {
  using Block = block_q5_1;
  static constexpr FormatId id = FormatId::q5_1;
  static void codes(const Block& b, int, int8_t* out) {
    nibbles(b.qs, 0, out);
    fifth_bits(b.qh, out);
  }
  static half_t scale(const Block& b) { return b.d; }
  static half_t min(const Block& b) { return b.m; }
};

struct Q8_0 : Numbers<8, 0, 255, Kind::half, 32, 32> {
  using Block = block_q8_0;
  static constexpr FormatId id = FormatId::q8_0;
  static void codes(const Block& b, int, int8_t* out) { __builtin_memcpy(out, b.qs, 32); }
  static half_t scale(const Block& b) { return b.d; }
};

struct Q8_K : Numbers<8, 0, 255, Kind::real, 32, 256> {
  using Block = block_q8_k;
  static constexpr FormatId id = FormatId::q8_k;
  static void codes(const Block& b, int g, int8_t* out) { __builtin_memcpy(out, b.qs + 32 * g, 32); }
  static float scale(const Block& b) { return b.d; }
};

// -- K-quants: a superblock of 256 with a float16 scale and a small integer scale per sub-block

inline void two_bits(const uint8_t* packed, int g,
                     int8_t* out) {  // 32 bytes hold four groups, one in each pair of bits
  for (int j = 0; j < 32; ++j) out[j] = int8_t(packed[32 * (g / 4) + j] >> 2 * (g % 4) & 3);
}

struct Q2_K : Numbers<2, 0, 3, Kind::super, 16, 256> {
  using Block = block_q2_k;
  static constexpr FormatId id = FormatId::q2_k;
  static void codes(const Block& b, int g, int8_t* out) { two_bits(b.qs, g, out); }
  static half_t scale(const Block& b) { return b.d; }
  static half_t min(const Block& b) { return b.dmin; }
  static int sub_scale(const Block& b, int i) { return b.scales[i] & 15; }
  static int sub_min(const Block& b, int i) { return b.scales[i] >> 4; }
};

struct Q3_K : Numbers<3, 4, 7, Kind::super, 16, 256> {
  using Block = block_q3_k;
  static constexpr FormatId id = FormatId::q3_k;
  static void codes(const Block& b, int g, int8_t* out) {
    two_bits(b.qs, g, out);
    for (int j = 0; j < 32; ++j) out[j] = int8_t(out[j] - (b.hmask[j] >> g & 1 ? 0 : 4));
  }
  static half_t scale(const Block& b) { return b.d; }
  static int sub_scale(const Block& b, int i) {  // low 4 bits in bytes 0 to 7, high 2 bits in bytes 8 to 11
    const int low = b.scales[i % 8] >> 4 * (i / 8) & 15, high = b.scales[8 + i % 4] >> 2 * (i / 4) & 3;
    return (low | high << 4) - 32;
  }
};

// Eight 6-bit scales and eight 6-bit mins in 12 bytes: the first four of each are whole, the others split in two.
inline int sub6(const uint8_t* s, int i) { return i < 4 ? s[i] & 63 : (s[i + 4] & 15) | (s[i - 4] >> 6) << 4; }
inline int submin6(const uint8_t* s, int i) { return i < 4 ? s[i + 4] & 63 : s[i + 4] >> 4 | (s[i] >> 6) << 4; }

inline void nibble_plane(const uint8_t* packed, int g, int8_t* out) {  // 32 bytes hold two groups, one in each nibble
  for (int j = 0; j < 32; ++j) out[j] = int8_t(packed[32 * (g / 2) + j] >> 4 * (g % 2) & 15);
}

struct Q4_K : Numbers<4, 0, 15, Kind::super, 32, 256> {
  using Block = block_q4_k;
  static constexpr FormatId id = FormatId::q4_k;
  static void codes(const Block& b, int g, int8_t* out) { nibble_plane(b.qs, g, out); }
  static half_t scale(const Block& b) { return b.d; }
  static half_t min(const Block& b) { return b.dmin; }
  static int sub_scale(const Block& b, int i) { return sub6(b.scales, i); }
  static int sub_min(const Block& b, int i) { return submin6(b.scales, i); }
};

struct Q5_K : Numbers<5, 0, 31, Kind::super, 32, 256> {
  using Block = block_q5_k;
  static constexpr FormatId id = FormatId::q5_k;
  static void codes(const Block& b, int g, int8_t* out) {
    nibble_plane(b.qs, g, out);
    for (int j = 0; j < 32; ++j) out[j] = int8_t(out[j] | (b.qh[j] >> g & 1) << 4);
  }
  static half_t scale(const Block& b) { return b.d; }
  static half_t min(const Block& b) { return b.dmin; }
  static int sub_scale(const Block& b, int i) { return sub6(b.scales, i); }
  static int sub_min(const Block& b, int i) { return submin6(b.scales, i); }
};

struct Q6_K : Numbers<6, 32, 63, Kind::super, 16, 256> {
  using Block = block_q6_k;
  static constexpr FormatId id = FormatId::q6_k;
  static void codes(const Block& b, int g,
                    int8_t* out) {  // each half of 128: 64 bytes of nibbles, 32 bytes of 2-bit fields
    const int half = g / 4, q = g % 4;
    const uint8_t* low = b.ql + 64 * half + 32 * (q % 2);
    for (int j = 0; j < 32; ++j) {
      out[j] = int8_t(((low[j] >> 4 * (q / 2) & 15) | (b.qh[32 * half + j] >> 2 * q & 3) << 4) - 32);
    }
  }
  static half_t scale(const Block& b) { return b.d; }
  static int sub_scale(const Block& b, int i) { return b.scales[i]; }
};

// -- one or two bits

struct Q1_0 : Numbers<2, 1, 3, Kind::half, 32, 128> {
  using Block = block_q1_0;
  static constexpr FormatId id = FormatId::q1_0;
  static void codes(const Block& b, int g, int8_t* out) {
    for (int j = 0; j < 32; ++j) out[j] = (b.qs[4 * g + j / 8] >> j % 8 & 1) ? 1 : -1;
  }
  static half_t scale(const Block& b) { return b.d; }
};

struct Q2_0 : Numbers<2, 1, 3, Kind::half, 32, 64> {
  using Block = block_q2_0;
  static constexpr FormatId id = FormatId::q2_0;
  static void codes(const Block& b, int g, int8_t* out) {
    for (int j = 0; j < 32; ++j) out[j] = int8_t((b.qs[8 * g + j / 4] >> 2 * (j % 4) & 3) - 1);
  }
  static half_t scale(const Block& b) { return b.d; }
};

// -- ternary

struct TQ2_0 : Numbers<2, 1, 3, Kind::super, 32, 256> {
  using Block = block_tq2_0;
  static constexpr FormatId id = FormatId::tq2_0;
  static void codes(const Block& b, int g, int8_t* out) {
    two_bits(b.qs, g, out);
    for (int j = 0; j < 32; ++j) out[j] = int8_t(out[j] - 1);
  }
  static half_t scale(const Block& b) { return b.d; }
  static int sub_scale(const Block&, int) { return 1; }
};

struct TQ1_0 : Numbers<2, 1, 3, Kind::super, 32, 256> {
  using Block = block_tq1_0;
  static constexpr FormatId id = FormatId::tq1_0;
  // A byte holds five ternary digits as a fraction of 243/256: multiplied by 3^n modulo 256, its top digit is the n-th.
  // There are runs of 32 bytes (160 weights), 16 bytes (80), and 4 bytes with four digits each (16).
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
  static half_t scale(const Block& b) { return b.d; }
  static int sub_scale(const Block&, int) { return 1; }
};

}  // namespace
}  // namespace bitwright
