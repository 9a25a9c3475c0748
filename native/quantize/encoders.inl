// Every encoder, compiled once with AVX2 and once without (avx2.cpp, portable.cpp), in separate namespaces. They share
// the vectors of simd/vectors.inl with the kernels, but not the tiers' instructions: fma rounds once where the encoders
// must round twice, and the bytes must not depend on the tier.
#include "../simd/vectors.inl"
#include "lanes.inl"
#include "pack.inl"
#include "floats.inl"
#include "legacy.inl"
#include "fp4.inl"
#include "ternary.inl"
#include "tiny.inl"
#include "scale_scan.inl"
#include "kquants.inl"
#include "iq4.inl"
#include "weighted.inl"
#include "best.inl"
#include "best_blocks.inl"
#include "best_fp4.inl"
#include "best_super.inl"
#include "best_super_min.inl"
#include "grid.inl"
#include "points.inl"
#include "best_grid.inl"
#include "pack_points.inl"
#include "grid_formats.inl"
#include "dense.inl"
#include "scales.inl"
#include "scales_of_points.inl"
#include "feedback.inl"
#include "descent.inl"

static const Encoder kEncoders[] = {
    {FormatId::f32, 1, 4, encode_f32, false, nullptr},
    {FormatId::f16, 1, 2, encode_f16, false, nullptr},
    {FormatId::bf16, 1, 2, encode_bf16, false, nullptr},
    {FormatId::q4_0, 32, sizeof(block_q4_0), rtn_q4_0, true, search_q4_0},
    {FormatId::q4_1, 32, sizeof(block_q4_1), rtn_q4_1, true, search_q4_1},
    {FormatId::q5_0, 32, sizeof(block_q5_0), rtn_q5_0, true, search_q5_0},
    {FormatId::q5_1, 32, sizeof(block_q5_1), rtn_q5_1, true, search_q5_1},
    {FormatId::q8_0, 32, sizeof(block_q8_0), encode_q8_0, false, search_q8_0},
    {FormatId::q2_k, kSuper, sizeof(block_q2_k), encode_q2_k, true, search_q2_k},
    {FormatId::q3_k, kSuper, sizeof(block_q3_k), encode_q3_k, true, search_q3_k},
    {FormatId::q4_k, kSuper, sizeof(block_q4_k), encode_q4_k, true, search_q4_k},
    {FormatId::q5_k, kSuper, sizeof(block_q5_k), encode_q5_k, true, search_q5_k},
    {FormatId::q6_k, kSuper, sizeof(block_q6_k), encode_q6_k, true, search_q6_k},
    {FormatId::iq4_nl, 32, sizeof(block_iq4_nl), rtn_iq4_nl, true, search_iq4_nl},
    {FormatId::iq4_xs, kSuper, sizeof(block_iq4_xs), encode_iq4_xs, true, search_iq4_xs},
    {FormatId::iq3_s, kSuper, sizeof(block_iq3_s), nullptr, false, search_iq3_s},
    {FormatId::iq3_xxs, kSuper, sizeof(block_iq3_xxs), nullptr, false, search_iq3_xxs},
    {FormatId::iq2_s, kSuper, sizeof(block_iq2_s), nullptr, false, search_iq2_s},
    {FormatId::iq2_xs, kSuper, sizeof(block_iq2_xs), nullptr, false, search_iq2_xs},
    {FormatId::iq2_xxs, kSuper, sizeof(block_iq2_xxs), nullptr, false, search_iq2_xxs},
    {FormatId::iq1_s, kSuper, sizeof(block_iq1_s), nullptr, false, search_iq1_s},
    {FormatId::iq1_m, kSuper, sizeof(block_iq1_m), nullptr, false, search_iq1_m},
    {FormatId::tq1_0, kSuper, sizeof(block_tq1_0), encode_tq1_0, false, search_tq1_0},
    {FormatId::tq2_0, kSuper, sizeof(block_tq2_0), encode_tq2_0, false, search_tq2_0},
    {FormatId::q1_0, 128, sizeof(block_q1_0), encode_q1_0, false, search_q1_0},
    {FormatId::q2_0, 64, sizeof(block_q2_0), encode_q2_0, false, search_q2_0},
    {FormatId::mxfp4, 32, sizeof(block_mxfp4), encode_mxfp4, false, search_mxfp4},
    {FormatId::nvfp4, 64, sizeof(block_nvfp4), encode_nvfp4, false, search_nvfp4},
};

static const Feedback kFeedback[] = {
    {FormatId::q2_k, kSuper, feed_back_rows<AsymmetricK<block_q2_k, 16, 3, 15>>},
    {FormatId::q4_k, kSuper, feed_back_rows<AsymmetricK<block_q4_k, 32, 15, 63>>},
    {FormatId::q5_k, kSuper, feed_back_rows<AsymmetricK<block_q5_k, 32, 31, 63>>},
    {FormatId::q3_k, kSuper, feed_back_rows<SymmetricK<block_q3_k, 16, IntegerGrid<4>, 32>>},
    {FormatId::q6_k, kSuper, feed_back_rows<SymmetricK<block_q6_k, 16, IntegerGrid<32>, 128>>},
    {FormatId::iq4_xs, kSuper, feed_back_rows<SymmetricK<block_iq4_xs, 32, Iq4Grid, 32>>},
    {FormatId::q4_0, 32, feed_back_rows<SymmetricHalf<block_q4_0, IntegerGrid<8>>>},
    {FormatId::q5_0, 32, feed_back_rows<SymmetricHalf<block_q5_0, IntegerGrid<16>>>},
    {FormatId::q8_0, 32, feed_back_rows<SymmetricHalf<block_q8_0, EvenGrid<127>>>},
    {FormatId::iq4_nl, 32, feed_back_rows<SymmetricHalf<block_iq4_nl, Iq4Grid>>},
    {FormatId::q4_1, 32, feed_back_rows<AsymmetricHalf<block_q4_1, 15>>},
    {FormatId::q5_1, 32, feed_back_rows<AsymmetricHalf<block_q5_1, 31>>},
    {FormatId::q1_0, 128, feed_back_rows<SymmetricHalf<block_q1_0, SignGrid, 128>>},
    {FormatId::q2_0, 64, feed_back_rows<SymmetricHalf<block_q2_0, TwoBitGrid, 64>>},
    {FormatId::mxfp4, 32, feed_back_rows<PowerOfTwo>},
    {FormatId::nvfp4, 64, feed_back_rows<Ue4m3>},
    {FormatId::iq1_s, kSuper, feed_back_rows<PointsK<Iq1S, 32>>},
    {FormatId::iq1_m, kSuper, feed_back_rows<PointsK<Iq1M, 8>>},
    {FormatId::iq2_xxs, kSuper, feed_back_rows<PointsK<Iq2Xxs, 8>>},
    {FormatId::iq2_xs, kSuper, feed_back_rows<PointsK<Iq2Xs, 8>>},
    {FormatId::iq2_s, kSuper, feed_back_rows<PointsK<Iq2S, 8>>},
    {FormatId::iq3_xxs, kSuper, feed_back_rows<PointsK<Iq3Xxs, 8>>},
    {FormatId::iq3_s, kSuper, feed_back_rows<PointsK<Iq3S, 8>>},
};

// float16 to float32; an infinity or NaN becomes an infinity, which the check below finds.
static void widen_f16(const uint16_t* in, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const Ints bits = __builtin_convertvector(load_some<Halves>(in + i, n - i), Ints);
    store_some(select((bits & 0x7c00) == 0x7c00, splat(INFINITY), half_value(bits)), out + i, n - i);
  }
}

static int64_t first_not_finite(const float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const Ints bad = (load_some<Ints>(x + i, n - i) & 0x7f800000) == 0x7f800000;
    if (any(bad))
      for (int k = 0; k < kLanes; k++)
        if (bad[k]) return i + k;
  }
  return -1;
}

extern const EncoderSet encoder_set;
const EncoderSet encoder_set = {kEncoders, std::size(kEncoders), kFeedback, std::size(kFeedback), factor,
                                widen_f16, first_not_finite};
