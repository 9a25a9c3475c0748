// MXFP4 (a power of two per 32 values) and NVFP4 (an unsigned e4m3 per 16): round to nearest without a search, as in
// ggml.

struct E2m1Grid {  // doubled values: 0 1 2 3 4 6 8 12 and their negatives
  BITWRIGHT_INLINE Floats magnitude(Floats a) {
    Floats value{};
    for (float middle : {0.5f, 1.5f, 2.5f, 3.5f}) value += select(a > middle, splat(1.f), Floats{});
    for (float middle : {5.f, 7.f}) value += select(a > middle, splat(2.f), Floats{});
    return value + select(a > 10.f, splat(4.f), Floats{});
  }
  BITWRIGHT_INLINE Floats nearest(Floats v) { return select(v < 0.f, -magnitude(abs(v)), magnitude(abs(v))); }
  BITWRIGHT_INLINE Floats code(Floats v) {
    const Floats a = abs(v);
    Floats code{};
    for (float value : {1.f, 2.f, 3.f, 4.f, 6.f, 8.f, 12.f}) code += select(a >= value, splat(1.f), Floats{});
    return code + select(v < 0.f, splat(8.f), Floats{});
  }
};

// The e2m1 code of x in units of scale (a value is half of scale times 0 1 2 3 4 6 8 12): the nearest, ties to the
// smaller magnitude.
BITWRIGHT_INLINE Floats e2m1_code(Floats x, Floats scale) {
  const Floats a = abs(x);
  Floats code{};
  for (float middle : {0.5f, 1.5f, 2.5f, 3.5f, 5.f, 7.f, 10.f})
    code += select(a > middle * scale, splat(1.f), Floats{});
  code = select(scale > 0.f, code, Floats{});
  return code + select((x < 0.f) & (code > 0.f), splat(8.f), Floats{});
}

// The exponent byte of a block. The logarithm is rounded to float32 before the floor, as in ggml: a largest value just
// below a power of two counts as that power.
BITWRIGHT_INLINE int mxfp4_exponent(float largest) {
  if (largest == 0.f) return 0;
  const float log2_largest = static_cast<float>(std::log2(static_cast<double>(largest)));
  return std::max(0, static_cast<int>(std::floor(log2_largest)) - 2 + 127);
}

static int64_t encode_mxfp4(const float* x, const float*, int64_t blocks, uint8_t* out) {
  auto* y = reinterpret_cast<block_mxfp4*>(out);
  for (int64_t b = 0; b < blocks; b += kLanes) {
    const int64_t count = std::min<int64_t>(kLanes, blocks - b);
    Floats lanes[32], scale;
    uint8_t codes[kLanes * 32];
    load_lanes<32>(x + b * 32, count, lanes);
    const Floats largest = abs(signed_extreme<32>(lanes));
    for (int k = 0; k < kLanes; k++) {
      const int exponent = mxfp4_exponent(largest[k]);
      if (k < count) y[b + k].e = static_cast<uint8_t>(exponent);
      scale[k] = std::ldexp(1.f, exponent - 128);
    }
    for (int i = 0; i < 32; i++) lanes[i] = e2m1_code(lanes[i], scale);
    store_lanes<32>(lanes, codes);
    for (int64_t k = 0; k < count; k++) pack_block(y[b + k], codes + k * 32);
  }
  return -1;
}

constexpr float kLargestUe4m3 = 448.f;

// v in [0, 448] to unsigned e4m3, rounded half up on the bit after the mantissa. (ggml rounds every v from 256 up to 448;
// this rounds to nearest.)
BITWRIGHT_INLINE uint8_t to_ue4m3(float v) {
  if (v < 0.015625f) return static_cast<uint8_t>(std::min(7, static_cast<int>(v * 512.f + 0.5f)));
  int32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  const int32_t code = ((bits >> 19) + 1) / 2 - (120 << 3);  // exponent bias 127 to 7
  return static_cast<uint8_t>(std::min(code, 0x7e));
}

// Half of the e4m3 value: grid values are doubled.
BITWRIGHT_INLINE float from_ue4m3_halved(uint8_t code) {
  const int exponent = code >> 3, mantissa = code & 7;
  return exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -10) : std::ldexp(8.f + mantissa, exponent - 11);
}

static int64_t encode_nvfp4(const float* x, const float*, int64_t blocks, uint8_t* out) {
  auto* y = reinterpret_cast<block_nvfp4*>(out);
  const int64_t groups = blocks * 4;
  for (int64_t g = 0; g < groups; g += kLanes) {
    const int64_t count = std::min<int64_t>(kLanes, groups - g);
    Floats lanes[16], scale;
    uint8_t codes[kLanes * 16];
    load_lanes<16>(x + g * 16, count, lanes);
    const Floats largest = abs(signed_extreme<16>(lanes)) / 6.f;
    for (int k = 0; k < kLanes; k++) {
      if (largest[k] > kLargestUe4m3) return (g + k) / 4;
      const uint8_t stored = to_ue4m3(largest[k]);
      if (k < count) y[(g + k) / 4].d[(g + k) % 4] = stored;
      scale[k] = from_ue4m3_halved(stored);
    }
    for (int i = 0; i < 16; i++) lanes[i] = e2m1_code(lanes[i], scale);
    store_lanes<16>(lanes, codes);
    for (int64_t k = 0; k < count; k += 4) pack_block(y[(g + k) / 4], codes + k * 16);
  }
  return -1;
}
