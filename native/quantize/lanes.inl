// Several blocks (or sub-blocks) side by side: lane k of every vector belongs to block k. So each block's sums run in
// order, and a scan needs no sum across lanes. The results do not depend on kLanes.

// Load or store the first `count` of kLanes elements; the others load as zero. A whole vector is one instruction, a part
// is a call.
template <class Vector, class Element>
BITWRIGHT_INLINE Vector load_some(const Element* from, int64_t count) {
  Vector v{};
  if (count >= kLanes)
    std::memcpy(&v, from, sizeof v);
  else
    std::memcpy(&v, from, count * sizeof(Element));
  return v;
}
template <class Vector, class Element>
BITWRIGHT_INLINE void store_some(const Vector& v, Element* to, int64_t count) {
  if (count >= kLanes)
    std::memcpy(to, &v, sizeof v);
  else
    std::memcpy(to, &v, count * sizeof(Element));
}

// out[i] lane k = x[k * N + i]; lanes from `blocks` on repeat the last block.
template <int N>
BITWRIGHT_INLINE void load_lanes(const float* x, int64_t blocks, Floats* out) {
  for (int k = 0; k < kLanes; k++) {
    const float* row = x + std::min<int64_t>(k, blocks - 1) * N;
    for (int i = 0; i < N; i++) out[i][k] = row[i];
  }
}

// codes[k * N + i] = lane k of in[i], for small non-negative or int8 values.
template <int N>
BITWRIGHT_INLINE void store_lanes(const Floats* in, uint8_t* codes) {
  for (int i = 0; i < N; i++) {
    const Ints v = to_ints(in[i]);
    for (int k = 0; k < kLanes; k++) codes[k * N + i] = static_cast<uint8_t>(v[k]);
  }
}

BITWRIGHT_INLINE half_t to_half(float v) { return static_cast<half_t>(half_bits(splat(v))[0]); }
BITWRIGHT_INLINE bool is_infinite(half_t h) { return (h & 0x7c00) == 0x7c00; }
