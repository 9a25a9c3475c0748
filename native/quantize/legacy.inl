// Q4_0 Q4_1 Q5_0 Q5_1 Q8_0: one float16 scale (and min) per 32 values, straight from the block's extremes, as ggml has them.

// Signed value of largest magnitude; of equals, the first.
template <int N>
BITWRIGHT_INLINE floats signed_extreme(const floats* x) {
  floats best{}, magnitude{};
  for (int i = 0; i < N; i++) {
    const floats a = abs_of(x[i]);
    const ints larger = a > magnitude;
    magnitude = select(larger, a, magnitude);
    best = select(larger, x[i], best);
  }
  return best;
}

// Runs `encode(lanes, d, m)`, which turns values into codes, over kLanes blocks at a time, then `store(block, codes, d, m)` over
// each; `store` says whether the block's scales were in range.
template <int N, class Encode, class Store>
BITWRIGHT_INLINE int64_t by_lanes(const float* x, int64_t blocks, Encode&& encode, Store&& store) {
  for (int64_t b = 0; b < blocks; b += kLanes) {
    const int64_t count = std::min<int64_t>(kLanes, blocks - b);
    floats lanes[N], d{}, m{};
    uint8_t codes[kLanes * N];
    load_lanes<N>(x + b * N, count, lanes);
    encode(lanes, d, m);
    store_lanes<N>(lanes, codes);
    for (int64_t k = 0; k < count; k++)
      if (!store(b + k, codes + k * N, d[k], m[k])) return b + k;
  }
  return -1;
}

// Symmetric: the value of largest magnitude becomes code 0 (-top / 2), so the scale carries its sign.
template <int Half>
BITWRIGHT_INLINE void encode_symmetric(floats* x, floats& d) {
  d = signed_extreme<32>(x) / static_cast<float>(-Half);
  const floats inverse = reciprocal(d);
  for (int i = 0; i < 32; i++) x[i] = min_of(truncate(x[i] * inverse + (Half + 0.5f)), splat(2 * Half - 1));
}

template <int Top>
BITWRIGHT_INLINE void encode_from_min(floats* x, floats& d, floats& m) {
  floats low = x[0], high = x[0];
  for (int i = 1; i < 32; i++) {
    low = select(x[i] < low, x[i], low);
    high = select(x[i] > high, x[i], high);
  }
  m = low;
  d = (high - low) / static_cast<float>(Top);
  const floats inverse = reciprocal(d);
  for (int i = 0; i < 32; i++) x[i] = min_of(truncate((x[i] - low) * inverse + 0.5f), splat(Top));
}

static int64_t encode_q4_0(const float* x, const float*, int64_t blocks, uint8_t* out) {
  return by_lanes<32>(
      x, blocks, [](floats* v, floats& d, floats&) { encode_symmetric<8>(v, d); }, store_to<StoreQ4_0>(out));
}

static int64_t encode_q5_0(const float* x, const float*, int64_t blocks, uint8_t* out) {
  return by_lanes<32>(
      x, blocks, [](floats* v, floats& d, floats&) { encode_symmetric<16>(v, d); }, store_to<StoreQ5_0>(out));
}

static int64_t encode_q4_1(const float* x, const float*, int64_t blocks, uint8_t* out) {
  return by_lanes<32>(
      x, blocks, [](floats* v, floats& d, floats& m) { encode_from_min<15>(v, d, m); }, store_to<StoreQ4_1>(out));
}

static int64_t encode_q5_1(const float* x, const float*, int64_t blocks, uint8_t* out) {
  return by_lanes<32>(
      x, blocks, [](floats* v, floats& d, floats& m) { encode_from_min<31>(v, d, m); }, store_to<StoreQ5_1>(out));
}

static int64_t encode_q8_0(const float* x, const float*, int64_t blocks, uint8_t* out) {
  const auto encode = [](floats* v, floats& d, floats&) {
    d = abs_of(signed_extreme<32>(v)) / 127.f;
    const floats inverse = reciprocal(d);
    for (int i = 0; i < 32; i++) v[i] = round_away(v[i] * inverse);
  };
  return by_lanes<32>(x, blocks, encode, store_to<StoreQ8_0>(out));
}
