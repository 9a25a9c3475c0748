// Q4_0 Q4_1 Q5_0 Q5_1 Q8_0: one float16 scale (and min) per 32 values, taken from the block's extremes as in ggml.

// The signed value with the largest magnitude; the first among equals.
template <int N>
BITWRIGHT_INLINE Floats signed_extreme(const Floats* x) {
  Floats best{}, magnitude{};
  for (int i = 0; i < N; i++) {
    const Floats a = abs(x[i]);
    const Ints larger = a > magnitude;
    magnitude = select(larger, a, magnitude);
    best = select(larger, x[i], best);
  }
  return best;
}

// Runs `encode(lanes, scale, m)`, which turns values into codes, over kLanes blocks at a time, then `store(block,
// codes, scale, m)` for each block. `store` returns whether the block's scales were in range.
template <int N, class Encode, class Store>
BITWRIGHT_INLINE int64_t by_lanes(const float* x, int64_t blocks, Encode&& encode, Store&& store) {
  for (int64_t b = 0; b < blocks; b += kLanes) {
    const int64_t count = std::min<int64_t>(kLanes, blocks - b);
    Floats lanes[N], scale{}, m{};
    uint8_t codes[kLanes * N];
    load_lanes<N>(x + b * N, count, lanes);
    encode(lanes, scale, m);
    store_lanes<N>(lanes, codes);
    for (int64_t k = 0; k < count; k++)
      if (!store(b + k, codes + k * N, scale[k], m[k])) return b + k;
  }
  return -1;
}

// Symmetric: the value of largest magnitude becomes code 0 (-top / 2), so the scale carries its sign.
template <int Half>
BITWRIGHT_INLINE void encode_symmetric(Floats* x, Floats& scale) {
  scale = signed_extreme<32>(x) / static_cast<float>(-Half);
  const Floats inverse = reciprocal(scale);
  for (int i = 0; i < 32; i++) x[i] = min(truncate(x[i] * inverse + (Half + 0.5f)), splat(2 * Half - 1));
}

template <int Top>
BITWRIGHT_INLINE void encode_from_min(Floats* x, Floats& scale, Floats& m) {
  Floats low = x[0], high = x[0];
  for (int i = 1; i < 32; i++) {
    low = select(x[i] < low, x[i], low);
    high = select(x[i] > high, x[i], high);
  }
  m = low;
  scale = (high - low) / static_cast<float>(Top);
  const Floats inverse = reciprocal(scale);
  for (int i = 0; i < 32; i++) x[i] = min(truncate((x[i] - low) * inverse + 0.5f), splat(Top));
}

static int64_t encode_q4_0(const float* x, const float*, int64_t blocks, uint8_t* out) {
  return by_lanes<32>(
      x, blocks, [](Floats* v, Floats& scale, Floats&) { encode_symmetric<8>(v, scale); }, store_to<StoreQ4_0>(out));
}

static int64_t encode_q5_0(const float* x, const float*, int64_t blocks, uint8_t* out) {
  return by_lanes<32>(
      x, blocks, [](Floats* v, Floats& scale, Floats&) { encode_symmetric<16>(v, scale); }, store_to<StoreQ5_0>(out));
}

static int64_t encode_q4_1(const float* x, const float*, int64_t blocks, uint8_t* out) {
  return by_lanes<32>(
      x, blocks, [](Floats* v, Floats& scale, Floats& m) { encode_from_min<15>(v, scale, m); },
      store_to<StoreQ4_1>(out));
}

static int64_t encode_q5_1(const float* x, const float*, int64_t blocks, uint8_t* out) {
  return by_lanes<32>(
      x, blocks, [](Floats* v, Floats& scale, Floats& m) { encode_from_min<31>(v, scale, m); },
      store_to<StoreQ5_1>(out));
}

static int64_t encode_q8_0(const float* x, const float*, int64_t blocks, uint8_t* out) {
  const auto encode = [](Floats* v, Floats& scale, Floats&) {
    scale = abs(signed_extreme<32>(v)) / 127.f;
    const Floats inverse = reciprocal(scale);
    for (int i = 0; i < 32; i++) v[i] = round_away(v[i] * inverse);
  };
  return by_lanes<32>(x, blocks, encode, store_to<StoreQ8_0>(out));
}
