// TQ1_0 and TQ2_0: 256 values -1, 0, 1 with one float16 scale, the largest magnitude.

// Returns the unrounded scale and computes codes with it.
BITWRIGHT_INLINE float ternary_codes(const float* x, uint8_t* codes) {
  Floats largest{};
  for (int i = 0; i < kSuper; i += kLanes) {
    Floats v;
    std::memcpy(&v, x + i, sizeof v);
    largest = max(abs(v), largest);
  }
  float scale = 0.f;
  for (int k = 0; k < kLanes; k++) scale = std::max(scale, largest[k]);
  const Floats inverse = reciprocal(splat(scale));
  for (int i = 0; i < kSuper; i += kLanes) {
    Floats v;
    std::memcpy(&v, x + i, sizeof v);
    const Ints code = to_ints(round_away(v * inverse) + 1.f);
    for (int k = 0; k < kLanes; k++) codes[i + k] = static_cast<uint8_t>(code[k]);
  }
  return scale;
}

// Five ternary digits as a fraction of 256, rounded up, so that multiplying by 3 shifts the leading digit out of the byte.
BITWRIGHT_INLINE uint8_t pack_trits(const uint8_t* codes, int stride, int count) {
  int value = 0;
  for (int n = 0; n < 5; n++) value = 3 * value + (n < count ? codes[n * stride] : 0);
  return static_cast<uint8_t>((value * 256 + 242) / 243);
}

struct StoreTq1 {
  static constexpr int size = kSuper;
  block_tq1_0* y;
  BITWRIGHT_FORCE bool operator()(int64_t b, const uint8_t* codes, float scale, float) const {
    y[b].d = to_half(scale);
    for (int i = 0; i < 32; i++) y[b].qs[i] = pack_trits(codes + i, 32, 5);
    for (int i = 0; i < 16; i++) y[b].qs[32 + i] = pack_trits(codes + 160 + i, 16, 5);
    for (int i = 0; i < 4; i++) y[b].qh[i] = pack_trits(codes + 240 + i, 4, 4);
    return !is_infinite(y[b].d);
  }
};

struct StoreTq2 {
  static constexpr int size = kSuper;
  block_tq2_0* y;
  BITWRIGHT_FORCE bool operator()(int64_t b, const uint8_t* codes, float scale, float) const {
    y[b].d = to_half(scale);
    pack_pairs(codes, y[b].qs);
    return !is_infinite(y[b].d);
  }
};

template <class Store>
BITWRIGHT_INLINE int64_t encode_ternary(const float* x, int64_t blocks, Store store) {
  for (int64_t b = 0; b < blocks; b++) {
    uint8_t codes[kSuper];
    const float scale = ternary_codes(x + b * kSuper, codes);
    if (!store(b, codes, scale, 0.f)) return b;
  }
  return -1;
}

static int64_t encode_tq1_0(const float* x, const float*, int64_t blocks, uint8_t* out) {
  return encode_ternary(x, blocks, store_to<StoreTq1>(out));
}

static int64_t encode_tq2_0(const float* x, const float*, int64_t blocks, uint8_t* out) {
  return encode_ternary(x, blocks, store_to<StoreTq2>(out));
}
