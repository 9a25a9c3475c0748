// Method search for MXFP4 and NVFP4: among the few storable scales near the usual one, the one with the least error.

BITWRIGHT_INLINE Floats e2m1_error(const Floats* x, const Floats* w, int n, Floats scale) {
  const Floats inverse = reciprocal(scale);
  Floats error{};
  for (int i = 0; i < n; i++) {
    const Floats a = abs(x[i]), miss = scale * E2m1Grid::magnitude(a * inverse) - a;
    error += w[i] * (miss * miss);
  }
  return error;
}

// The best of the stored codes usual + first .. usual + last of each lane, within 0..limit; `value` decodes a code.
template <int N, class Value>
BITWRIGHT_INLINE void best_stored_scale(const Floats* x, const Floats* w, int* code, Floats& scale, int first, int last,
                                        int limit, Value&& value) {
  Floats best = splat(INFINITY);
  int usual[kLanes];
  std::copy(code, code + kLanes, usual);
  for (int step = first; step <= last; step++) {
    Floats trial;
    for (int k = 0; k < kLanes; k++) trial[k] = value(std::clamp(usual[k] + step, 0, limit));
    const Floats error = e2m1_error(x, w, N, trial);
    const Ints better = error < best;
    best = select(better, error, best);
    scale = select(better, trial, scale);
    for (int k = 0; k < kLanes; k++)
      if (better[k]) code[k] = std::clamp(usual[k] + step, 0, limit);
  }
}

static int64_t search_mxfp4(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  auto* y = reinterpret_cast<block_mxfp4*>(out);
  for (int64_t b = 0; b < blocks; b += kLanes) {
    const int64_t count = std::min<int64_t>(kLanes, blocks - b);
    Floats lanes[32], weights[32], scale{};
    uint8_t codes[kLanes * 32];
    int exponent[kLanes];
    load_lanes<32>(x + b * 32, count, lanes);
    load_weights<32>(importance ? importance + b * 32 : nullptr, count, weights);
    const Floats largest = abs(signed_extreme<32>(lanes));
    for (int k = 0; k < kLanes; k++) exponent[k] = mxfp4_exponent(largest[k]);
    best_stored_scale<32>(lanes, weights, exponent, scale, -2, 1, 254, [](int e) { return std::ldexp(1.f, e - 128); });
    for (int i = 0; i < 32; i++) lanes[i] = e2m1_code(lanes[i], scale);
    store_lanes<32>(lanes, codes);
    for (int64_t k = 0; k < count; k++) {
      y[b + k].e = static_cast<uint8_t>(exponent[k]);
      pack_block(y[b + k], codes + k * 32);
    }
  }
  return -1;
}

static int64_t search_nvfp4(const float* x, const float* importance, int64_t blocks, uint8_t* out) {
  auto* y = reinterpret_cast<block_nvfp4*>(out);
  const int64_t groups = blocks * 4;
  for (int64_t g = 0; g < groups; g += kLanes) {
    const int64_t count = std::min<int64_t>(kLanes, groups - g);
    Floats lanes[16], weights[16], scale{};
    uint8_t codes[kLanes * 16];
    int stored[kLanes];
    load_lanes<16>(x + g * 16, count, lanes);
    load_weights<16>(importance ? importance + g * 16 : nullptr, count, weights);
    const Floats largest = abs(signed_extreme<16>(lanes)) / 6.f;
    for (int k = 0; k < kLanes; k++) {
      if (largest[k] > kLargestUe4m3) return (g + k) / 4;
      stored[k] = to_ue4m3(largest[k]);
    }
    best_stored_scale<16>(lanes, weights, stored, scale, -8, 5, 0x7e,
                          [](int code) { return from_ue4m3_halved(static_cast<uint8_t>(code)); });
    for (int i = 0; i < 16; i++) lanes[i] = e2m1_code(lanes[i], scale);
    store_lanes<16>(lanes, codes);
    for (int64_t k = 0; k < count; k++) y[(g + k) / 4].d[(g + k) % 4] = static_cast<uint8_t>(stored[k]);
    for (int64_t k = 0; k < count; k += 4) pack_block(y[(g + k) / 4], codes + k * 16);
  }
  return -1;
}
