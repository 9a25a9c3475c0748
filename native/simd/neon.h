// Arm NEON with the int8 dot product (signed by signed), and, where the tier's flags allow it, the int8 matrix product of i8mm:
// two rows by two tokens over eight columns. See scalar.h for what the names mean.
#pragma once
#include <arm_neon.h>

#include "../fp.h"

namespace bitwright {
namespace {

struct Ops {
  static constexpr int kLanes = 4, kVector = 16, kRowVectors = 2, kTokens = 4, kFullOffset = 0;
#ifdef __ARM_FEATURE_MATMUL_INT8
  static constexpr bool kDirect = true, kMatrix = true;
#else
  static constexpr bool kDirect = true, kMatrix = false;
#endif
  struct Bytes { uint8x16_t v; };
  struct Ints { int32x4_t v; };
  struct Floats { float32x4_t v; };
  using Partial = Ints;

  static Bytes load(const uint8_t* p) { return {vld1q_u8(p)}; }
  static void store(uint8_t* p, Bytes a) { vst1q_u8(p, a.v); }
  static Bytes splat(uint8_t b) { return {vdupq_n_u8(b)}; }
  static Bytes table(const uint8_t* sixteen) { return {vld1q_u8(sixteen)}; }
  static Bytes look_up(Bytes table, Bytes index) { return {vqtbl1q_u8(table.v, index.v)}; }
  static Bytes and_(Bytes a, Bytes b) { return {vandq_u8(a.v, b.v)}; }
  static Bytes or_(Bytes a, Bytes b) { return {vorrq_u8(a.v, b.v)}; }
  template <int kLeft> static Bytes shift(Bytes a) {
    if constexpr (kLeft > 0)
      return {vshlq_n_u8(a.v, kLeft)};
    else if constexpr (kLeft < 0)
      return {vshrq_n_u8(a.v, -kLeft)};
    else
      return a;
  }

  static constexpr int run(int, bool) { return 8; }
  template <bool> static Partial step(Partial p, Bytes w, const int8_t* x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    return {vdotq_s32(p.v, vreinterpretq_s8_u8(w.v), vreinterpretq_s8_s32(vdupq_n_s32(four)))};
  }
  static Ints flush(Ints, Partial p) { return p; }
  static Ints splat(int32_t a) { return {vdupq_n_s32(a)}; }
  static Floats to_float(Ints a) { return {vcvtq_f32_s32(a.v)}; }

#ifdef __ARM_FEATURE_MATMUL_INT8
  // Rows 0 and 1 (and 2 and 3), eight columns each, of two neighbouring vectors.
  static Bytes first_rows(Bytes a, Bytes b) {
    return {vreinterpretq_u8_u32(vzip1q_u32(vreinterpretq_u32_u8(a.v), vreinterpretq_u32_u8(b.v)))};
  }
  static Bytes last_rows(Bytes a, Bytes b) {
    return {vreinterpretq_u8_u32(vzip2q_u32(vreinterpretq_u32_u8(a.v), vreinterpretq_u32_u8(b.v)))};
  }
  // Eight columns of two tokens.
  static Bytes tokens(const int8_t* x, const int8_t* y) {
    return {vreinterpretq_u8_s8(vcombine_s8(vld1_s8(x), vld1_s8(y)))};
  }
  // Lanes: row 0 token 0, row 0 token 1, row 1 token 0, row 1 token 1.
  static Ints matrix(Ints sum, Bytes rows, Bytes tokens) {
    return {vmmlaq_s32(sum.v, vreinterpretq_s8_u8(rows.v), vreinterpretq_s8_u8(tokens.v))};
  }
  static Ints first_token(Ints sum, Ints first, Ints last) { return {vaddq_s32(sum.v, vuzp1q_s32(first.v, last.v))}; }
  static Ints last_token(Ints sum, Ints first, Ints last) { return {vaddq_s32(sum.v, vuzp2q_s32(first.v, last.v))}; }
#endif

  static Floats splat(float a) { return {vdupq_n_f32(a)}; }
  static Floats load(const float* p) { return {vld1q_f32(p)}; }
  static void store(float* p, Floats a) { vst1q_f32(p, a.v); }
  static Floats add(Floats a, Floats b) { return {vaddq_f32(a.v, b.v)}; }
  static Floats mul(Floats a, Floats b) { return {vmulq_f32(a.v, b.v)}; }
  static Floats fma(Floats a, Floats b, Floats c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
  static uint16x4_t halves(const uint8_t* p) {
    uint16x4_t h;
    __builtin_memcpy(&h, p, 8);
    return h;
  }
  static uint32x4_t wide(const uint8_t* p) { return vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(load_four(p))))); }
  static uint64_t load_four(const uint8_t* p) {
    uint32_t four;
    __builtin_memcpy(&four, p, 4);
    return four;
  }
  static Floats load_half(const uint8_t* p) { return {vcvt_f32_f16(vreinterpret_f16_u16(halves(p)))}; }
  static Floats load_bf16(const uint8_t* p) { return {vreinterpretq_f32_u32(vshll_n_u16(halves(p), 16))}; }
  static Floats load_signed(const uint8_t* p) {
    return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(load_four(p))))))};
  }
  static Floats load_low(const uint8_t* p) { return {vcvtq_f32_u32(vandq_u32(wide(p), vdupq_n_u32(15)))}; }
  static Floats load_high(const uint8_t* p) { return {vcvtq_f32_u32(vshrq_n_u32(wide(p), 4))}; }
  static Floats load_exponent(const uint8_t* p) { return {vreinterpretq_f32_u32(vshlq_n_u32(wide(p), 23))}; }
  static Floats load_ue4m3(const uint8_t* p) {
    return {vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(vshlq_n_u32(wide(p), 7))))};
  }
};

}  // namespace
}  // namespace bitwright
