// Arm NEON with the int8 dot product (signed by signed) and, where the tier's flags allow it, the int8 matrix product
// of i8mm: two rows by two tokens over eight columns. scalar.h explains the names.
#pragma once
#include <arm_neon.h>

#include "../fp.h"

namespace bitwright {
namespace {

constexpr int kLanes = 4;
#include "vectors.inl"

BITWRIGHT_INLINE uint8x8_t four_bytes(const void* p) {
  uint32_t four;
  __builtin_memcpy(&four, p, 4);
  return vcreate_u8(four);
}
BITWRIGHT_INLINE uint16x4_t four_words(const void* p) {
  uint16x4_t h;
  __builtin_memcpy(&h, p, 8);
  return h;
}

BITWRIGHT_INLINE Floats fma(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
BITWRIGHT_INLINE Ints widen(const int8_t* from) {
  return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(four_bytes(from)))));
}
BITWRIGHT_INLINE Ints widen(const uint16_t* from) { return (Ints)vmovl_u16(four_words(from)); }
BITWRIGHT_INLINE Ints widen(const uint8_t* from) { return (Ints)vmovl_u16(vget_low_u16(vmovl_u8(four_bytes(from)))); }
BITWRIGHT_INLINE void narrow(int8_t* to, Ints v) {
  const int16x4_t words = vmovn_s32((int32x4_t)v);
  const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
  __builtin_memcpy(to, &bytes, 4);
}
BITWRIGHT_INLINE Floats load_half(const void* from) { return vcvt_f32_f16(vreinterpret_f16_u16(four_words(from))); }
BITWRIGHT_INLINE Floats load_ue4m3(const uint8_t* from) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32((uint32x4_t)(widen(from) << 7))));
}

struct Ops {
  static constexpr int kRegisters = 32, kVector = 16, kRowVectors = 2, kTokens = 4, kFloatTokens = 6, kFullOffset = 0;
  static constexpr int kPieceGroups = 32, kTokenBlock = 64, kAhead = 4096, kAheadLevel = 3, kAheadStep = 64;
  static constexpr bool kDirect = true, kBf16Dot = false;

  static Bytes table(const uint8_t* sixteen) { return load(sixteen); }
  static Bytes look_up(Bytes table, Bytes index) { return vqtbl1q_u8(table, index); }

  static constexpr int run(int, bool) { return 8; }
  template <bool> static Ints step(Ints partial, Bytes weights, const int8_t* x) {
    // by lane: a copy in every lane would take another instruction of the same units
    return vdotq_lane_s32(partial, vreinterpretq_s8_u8(weights), vreinterpret_s8_u8(four_bytes(x)), 0);
  }
  static Ints flush(Ints, Ints partial) { return partial; }

#ifdef __ARM_FEATURE_MATMUL_INT8
  static constexpr bool kMatrix = true;
  // Rows 0 and 1 (and 2 and 3), eight columns each, from two adjacent vectors.
  static Bytes first_rows(Bytes a, Bytes b) { return (Bytes)vzip1q_u32((uint32x4_t)a, (uint32x4_t)b); }
  static Bytes last_rows(Bytes a, Bytes b) { return (Bytes)vzip2q_u32((uint32x4_t)a, (uint32x4_t)b); }
  // Eight columns of two tokens.
  static Bytes tokens(const int8_t* x, const int8_t* y) { return (Bytes)vcombine_s8(vld1_s8(x), vld1_s8(y)); }
  // Lanes: row 0 token 0, row 0 token 1, row 1 token 0, row 1 token 1.
  static Ints matrix(Ints sum, Bytes rows, Bytes tokens) {
    return vmmlaq_s32(sum, vreinterpretq_s8_u8(rows), vreinterpretq_s8_u8(tokens));
  }
  static Ints first_token(Ints sum, Ints first, Ints last) { return sum + vuzp1q_s32(first, last); }
  static Ints last_token(Ints sum, Ints first, Ints last) { return sum + vuzp2q_s32(first, last); }
#else
  static constexpr bool kMatrix = false;
#endif
};

#include "derived.inl"

}  // namespace
}  // namespace bitwright
