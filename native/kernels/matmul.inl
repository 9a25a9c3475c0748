// The tier's MatmulKernels: one body, templated over the op-set `Ops` that the tier's file includes first, and over formats,
// which contribute only their numbers and their unpacking (unpack.h). Included inside the tier's anonymous namespace.
#include "matmul_layout.inl"
#include "input.inl"
#include "matmul_integer.inl"
#include "matmul_float.inl"

using Product = void (*)(const Weight&, const uint8_t*, int64_t, float*, int64_t, int64_t, int64_t, uint8_t*);

inline Product float_product(FormatId id) {
  switch (id) {
    case FormatId::f32: return matmul_float<LoadFloat>;
    case FormatId::f16: return matmul_float<LoadHalf>;
    case FormatId::bf16: return matmul_float<LoadBf16>;
    default: return matmul_converted;
  }
}

inline size_t packed_bytes(const Weight& w) {
  int64_t strip = 0;
  with_block_format(w.format, [&]<class F>() { strip = Layout<F>::strip_bytes(w.columns / 32); });
  return size_t((w.rows + kPanelRows - 1) / kPanelRows * kStrips * strip);
}

inline void pack(const Weight& w, uint8_t* packed, int64_t begin, int64_t end) {
  with_block_format(w.format, [&]<class F>() { pack_panels<F>(w, packed, begin, end); });
}

inline int64_t panels(const Weight& w) { return (w.rows + kPanelRows - 1) / kPanelRows; }

inline size_t scratch_bytes(const Weight& w) {
  if (packed_bytes(w)) return sizeof(Piece) + 64;
  return float_product(w.format) == matmul_converted ? size_t(kFloatRows * w.columns * 4) : 0;
}

inline void decode(const Weight& w, const uint8_t* input, int64_t tokens, float* y, int64_t stride, int64_t begin, int64_t end, uint8_t* scratch) {
  if (!with_block_format(w.format, [&]<class F>() { decode_integer<F>(w, input, tokens, y, stride, begin, end, scratch); })) {
    float_product(w.format)(w, input, tokens, y, stride, begin, end, scratch);
  }
}

inline void prefill(const Weight& w, const uint8_t* input, int64_t tokens, float* y, int64_t stride, int64_t begin, int64_t end, uint8_t* scratch) {
  if (!with_block_format(w.format, [&]<class F>() { prefill_integer<F>(w, input, tokens, y, stride, begin, end, scratch); })) {
    float_product(w.format)(w, input, tokens, y, stride, begin, end, scratch);
  }
}

constexpr MatmulKernels matmul_kernels = {packed_bytes, pack, panels, Input::bytes, load_input, scratch_bytes, decode, prefill};
