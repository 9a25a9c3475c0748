// Every encoder, compiled once per instruction set in a namespace of its own (portable.cpp, avx2.cpp).
#include "lanes.inl"
#include "pack.inl"
#include "floats.inl"
#include "legacy.inl"
#include "fp4.inl"
#include "ternary.inl"
#include "search.inl"
#include "kquants.inl"
#include "iq4.inl"
#include "dense.inl"
#include "scales.inl"
#include "feedback.inl"

static const Encoder kEncoders[] = {
    {FormatId::f32, 1, 4, false, encode_f32},
    {FormatId::f16, 1, 2, false, encode_f16},
    {FormatId::bf16, 1, 2, false, encode_bf16},
    {FormatId::q4_0, 32, sizeof(block_q4_0), false, encode_q4_0},
    {FormatId::q4_1, 32, sizeof(block_q4_1), false, encode_q4_1},
    {FormatId::q5_0, 32, sizeof(block_q5_0), false, encode_q5_0},
    {FormatId::q5_1, 32, sizeof(block_q5_1), false, encode_q5_1},
    {FormatId::q8_0, 32, sizeof(block_q8_0), false, encode_q8_0},
    {FormatId::q2_k, kSuper, sizeof(block_q2_k), true, encode_q2_k},
    {FormatId::q3_k, kSuper, sizeof(block_q3_k), true, encode_q3_k},
    {FormatId::q4_k, kSuper, sizeof(block_q4_k), true, encode_q4_k},
    {FormatId::q5_k, kSuper, sizeof(block_q5_k), true, encode_q5_k},
    {FormatId::q6_k, kSuper, sizeof(block_q6_k), true, encode_q6_k},
    {FormatId::iq4_nl, 32, sizeof(block_iq4_nl), false, encode_iq4_nl},
    {FormatId::iq4_xs, kSuper, sizeof(block_iq4_xs), true, encode_iq4_xs},
    {FormatId::tq1_0, kSuper, sizeof(block_tq1_0), false, encode_tq1_0},
    {FormatId::tq2_0, kSuper, sizeof(block_tq2_0), false, encode_tq2_0},
    {FormatId::mxfp4, 32, sizeof(block_mxfp4), false, encode_mxfp4},
    {FormatId::nvfp4, 64, sizeof(block_nvfp4), false, encode_nvfp4},
};

// float16 to float32; an infinity or NaN becomes an infinity, which the check below then finds.
static void widen_f16(const uint16_t* in, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const ints bits = __builtin_convertvector(load_some<halves>(in + i, n - i), ints);
    store_some(select((bits & 0x7c00) == 0x7c00, splat(INFINITY), half_value(bits)), out + i, n - i);
  }
}

static int64_t first_not_finite(const float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const ints bad = (load_some<ints>(x + i, n - i) & 0x7f800000) == 0x7f800000;
    if (any(bad))
      for (int k = 0; k < kLanes; k++)
        if (bad[k]) return i + k;
  }
  return -1;
}

extern const EncoderSet encoder_set;
const EncoderSet encoder_set = {kEncoders, std::size(kEncoders), kFeedback, std::size(kFeedback), factor, widen_f16, first_not_finite};
