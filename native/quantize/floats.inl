// float32, float16, bfloat16: a block is one value.

static int64_t encode_f32(const float* x, const float*, int64_t n, uint8_t* out) {
  std::memcpy(out, x, n * sizeof(float));
  return -1;
}

template <class Bits>
BITWRIGHT_INLINE int64_t encode_16(const float* x, int64_t n, uint8_t* out, int32_t exponent, Bits&& bits_of) {
  auto* y = reinterpret_cast<uint16_t*>(out);
  for (int64_t i = 0; i < n; i += kLanes) {
    const Ints bits = bits_of(load_some<Floats>(x + i, n - i)), infinite = (bits & exponent) == exponent;
    store_some(__builtin_convertvector(bits, Halves), y + i, n - i);
    if (any(infinite))
      for (int k = 0; k < kLanes; k++)
        if (infinite[k]) return i + k;
  }
  return -1;
}

static int64_t encode_f16(const float* x, const float*, int64_t n, uint8_t* out) {
  return encode_16(x, n, out, 0x7c00, [](Floats v) { return half_bits(v); });
}

static int64_t encode_bf16(const float* x, const float*, int64_t n, uint8_t* out) {
  return encode_16(x, n, out, 0x7f80, [](Floats v) {
    const Ints bits = (Ints)v;
    return ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) & 0xffff;
  });
}
