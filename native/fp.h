// Small floats as bits, decoded exactly. Everything has internal linkage: tiers are compiled with different flags.
#pragma once
#include <cstdint>

#include "blocks.h"

namespace bitwright {
namespace {

[[maybe_unused]] inline float float_from_bits(uint32_t bits) { return __builtin_bit_cast(float, bits); }
[[maybe_unused]] inline uint32_t bits_from_float(float value) { return __builtin_bit_cast(uint32_t, value); }

// IEEE binary16. Shifted into a float's fields, the exponent is 112 too small; one exact product corrects it, also for
// denormals.
[[maybe_unused]] inline float half_to_float(half_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16, magnitude = uint32_t(h & 0x7fff) << 13;
  const uint32_t finite = bits_from_float(float_from_bits(magnitude) * 0x1p112f);
  return float_from_bits(sign | (magnitude >= 0x0f800000 ? magnitude | 0x7f800000 : finite));
}

// The nearest binary16, as a float, for magnitudes up to 65504. Below 2^-14 its steps are 2^-24, the last bit of 0.75.
[[maybe_unused]] inline float nearest_half(float v) {
  const uint32_t bits = bits_from_float(v), kept = (bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu;
  return (bits & 0x7fffffff) < 0x38800000 ? v + 0.75f - 0.75f : float_from_bits(kept);
}

[[maybe_unused]] inline float bf16_to_float(bf16_t b) { return float_from_bits(uint32_t(b) << 16); }

// 2^(e - 128): half of an MX block's scale, because the element table holds doubled values (as in ggml).
[[maybe_unused]] inline float e8m0_half_to_float(uint8_t e) {
  return float_from_bits(e < 2 ? 0x00200000u << e : uint32_t(e - 1) << 23);
}

// Half of an unsigned E4M3: NVFP4 scales blocks of doubled values. ggml reads the code 0x7f as zero and ignores the sign
// bit. Shifted into a half's fields, the exponent is 8 too small.
[[maybe_unused]] inline float ue4m3_half_to_float(uint8_t e) {
  return e == 0x7f ? 0.0f : half_to_float(half_t((e & 0x7f) << 7)) * 128.0f;
}

// Small floats of the OCP specifications; formats/floats.py has their policies on infinity and NaN.
[[maybe_unused]] inline float e5m2_to_float(uint8_t e) { return half_to_float(half_t(e << 8)); }
[[maybe_unused]] inline float e4m3fn_to_float(uint8_t e) {
  if ((e & 0x7f) == 0x7f) return float_from_bits(0x7fc00000u | uint32_t(e & 0x80) << 24);
  return half_to_float(half_t((e & 0x80) << 8 | (e & 0x7f) << 7)) * 256.0f;
}
[[maybe_unused]] inline float e8m0fnu_to_float(uint8_t e) {
  return float_from_bits(e == 255 ? 0x7fc00000u : e == 0 ? 0x00400000u : uint32_t(e) << 23);
}
[[maybe_unused]] inline float e2m3fn_to_float(uint8_t e) {  // bias 1, 3 bits of mantissa
  return half_to_float(half_t((e & 0x20) << 10 | (e & 0x1f) << 7)) * 0x1p14f;
}
[[maybe_unused]] inline float e3m2fn_to_float(uint8_t e) {  // bias 3, 2 bits of mantissa
  return half_to_float(half_t((e & 0x20) << 10 | (e & 0x1f) << 8)) * 0x1p12f;
}
[[maybe_unused]] inline float e2m1fn_to_float(uint8_t e) {  // bias 1, 1 bit of mantissa
  return half_to_float(half_t((e & 8) << 12 | (e & 7) << 9)) * 0x1p14f;
}

}  // namespace
}  // namespace bitwright
