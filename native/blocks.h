// The bytes of every ggml block format, as stored in a file. The letters (d, dmin, qs, qh) are ggml's (ggml-common.h);
// sizes are asserted. Nothing here depends on the tier.
#pragma once
#include <cstdint>

namespace bitwright {

using half_t = uint16_t;  // the bits of an IEEE binary16
using bf16_t = uint16_t;

constexpr int kSuper = 256;  // weights in a superblock (K- and I-quants)

// clang-format off: tables, one entry a line
// Ids of GGUF's tensor types; formats without a GGUF id start at 1000.
enum class FormatId : int32_t {
  f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8, q2_k = 10, q3_k = 11, q4_k = 12, q5_k = 13, q6_k = 14,
  q8_k = 15, iq2_xxs = 16, iq2_xs = 17, iq3_xxs = 18, iq1_s = 19, iq4_nl = 20, iq3_s = 21, iq2_s = 22, iq4_xs = 23,
  iq1_m = 29, bf16 = 30, tq1_0 = 34, tq2_0 = 35, mxfp4 = 39, nvfp4 = 40, q1_0 = 41, q2_0 = 42,
  float8_e4m3fn = 1000, float8_e5m2, float8_e8m0fnu, float6_e2m3fn, float6_e3m2fn, float4_e2m1fn,
};

struct block_q4_0 { half_t d; uint8_t qs[16]; };
struct block_q4_1 { half_t d, m; uint8_t qs[16]; };
struct block_q5_0 { half_t d; uint8_t qh[4]; uint8_t qs[16]; };
struct block_q5_1 { half_t d, m; uint8_t qh[4]; uint8_t qs[16]; };
struct block_q8_0 { half_t d; int8_t qs[32]; };
struct block_q2_k { uint8_t scales[16]; uint8_t qs[64]; half_t d, dmin; };
struct block_q3_k { uint8_t hmask[32]; uint8_t qs[64]; uint8_t scales[12]; half_t d; };
struct block_q4_k { half_t d, dmin; uint8_t scales[12]; uint8_t qs[128]; };
struct block_q5_k { half_t d, dmin; uint8_t scales[12]; uint8_t qh[32]; uint8_t qs[128]; };
struct block_q6_k { uint8_t ql[128]; uint8_t qh[64]; int8_t scales[16]; half_t d; };
struct block_q8_k { float d; int8_t qs[256]; int16_t bsums[16]; };
struct block_iq2_xxs { half_t d; uint16_t qs[32]; };
struct block_iq2_xs { half_t d; uint16_t qs[32]; uint8_t scales[8]; };
struct block_iq2_s { half_t d; uint8_t qs[64]; uint8_t qh[8]; uint8_t scales[8]; };
struct block_iq3_xxs { half_t d; uint8_t qs[96]; };
struct block_iq3_s { half_t d; uint8_t qs[64]; uint8_t qh[8]; uint8_t signs[32]; uint8_t scales[4]; };
struct block_iq1_s { half_t d; uint8_t qs[32]; uint16_t qh[8]; };
struct block_iq1_m { uint8_t qs[32]; uint8_t qh[16]; uint8_t scales[8]; };
struct block_iq4_nl { half_t d; uint8_t qs[16]; };
struct block_iq4_xs { half_t d; uint16_t scales_h; uint8_t scales_l[4]; uint8_t qs[128]; };
struct block_tq1_0 { uint8_t qs[48]; uint8_t qh[4]; half_t d; };
struct block_tq2_0 { uint8_t qs[64]; half_t d; };
struct block_mxfp4 { uint8_t e; uint8_t qs[16]; };
struct block_nvfp4 { uint8_t d[4]; uint8_t qs[32]; };
struct block_q1_0 { half_t d; uint8_t qs[16]; };     // 128 weights
struct block_q2_0 { half_t d; uint8_t qs[16]; };     // 64 weights

#define BITWRIGHT_SIZE(type, bytes) static_assert(sizeof(type) == bytes)
BITWRIGHT_SIZE(block_q4_0, 18);   BITWRIGHT_SIZE(block_q4_1, 20);  BITWRIGHT_SIZE(block_q5_0, 22);   BITWRIGHT_SIZE(block_q5_1, 24);
BITWRIGHT_SIZE(block_q8_0, 34);   BITWRIGHT_SIZE(block_q2_k, 84);  BITWRIGHT_SIZE(block_q3_k, 110);  BITWRIGHT_SIZE(block_q4_k, 144);
BITWRIGHT_SIZE(block_q5_k, 176);  BITWRIGHT_SIZE(block_q6_k, 210); BITWRIGHT_SIZE(block_q8_k, 292);  BITWRIGHT_SIZE(block_iq2_xxs, 66);
BITWRIGHT_SIZE(block_iq2_xs, 74); BITWRIGHT_SIZE(block_iq2_s, 82); BITWRIGHT_SIZE(block_iq3_xxs, 98); BITWRIGHT_SIZE(block_iq3_s, 110);
BITWRIGHT_SIZE(block_iq1_s, 50);  BITWRIGHT_SIZE(block_iq1_m, 56); BITWRIGHT_SIZE(block_iq4_nl, 18); BITWRIGHT_SIZE(block_iq4_xs, 136);
BITWRIGHT_SIZE(block_tq1_0, 54);  BITWRIGHT_SIZE(block_tq2_0, 66); BITWRIGHT_SIZE(block_mxfp4, 17);  BITWRIGHT_SIZE(block_nvfp4, 36);
BITWRIGHT_SIZE(block_q1_0, 18);   BITWRIGHT_SIZE(block_q2_0, 18);
#undef BITWRIGHT_SIZE

// clang-format on

}  // namespace bitwright
