// The tier's MatmulKernels: one body, templated over the op-set `Ops` (which the tier's file includes first) and over the
// formats, which contribute only their constants and their unpacking (unpack.h). Included inside the tier's anonymous
// namespace.
#include "matmul_layout.inl"
#include "input.inl"
#include "matmul_integer.inl"
#include "matmul_integer_prefill.inl"
#include "matmul_float.inl"

inline int64_t panels(const Weight& w) { return (w.rows + kPanelRows - 1) / kPanelRows; }

inline size_t packed_bytes(const Weight& w) {
  int64_t panel = 0;
  with_block_format(w.format, [&]<class F>() { panel = kStrips * Layout<F>::strip_bytes(w.columns / 32); }) ||
      with_float_format(w.format, [&]<class F>() { panel = panel_bytes<F>(w.columns); });
  return size_t(panels(w) * panel);
}

inline void pack(const Weight& w, uint8_t* packed, int64_t begin, int64_t end) {
  with_block_format(w.format, [&]<class F>() { pack_panels<F>(w, packed, begin, end); }) ||
      with_float_format(w.format, [&]<class F>() {
        if constexpr (!is_narrow<F>) pack_floats<F>(w, packed, begin, end);
      });
}

inline size_t scratch_bytes(const Weight&) {
  return 64 + (sizeof(PrefillScratch) > sizeof(FloatPiece) ? sizeof(PrefillScratch) : sizeof(FloatPiece));
}

inline void decode(const Weight& w, const uint8_t* input, int64_t tokens, float* y, int64_t stride, int64_t begin,
                   int64_t end, uint8_t* scratch) {
  with_block_format(w.format,
                    [&]<class F>() { decode_integer<F>(w, input, tokens, y, stride, begin, end, scratch); }) ||
      with_float_format(w.format,
                        [&]<class F>() { decode_floats<F>(w, input, tokens, y, stride, begin, end, scratch); });
}

inline void prefill(const Weight& w, const uint8_t* input, int64_t tokens, float* y, int64_t stride, int64_t begin,
                    int64_t end, uint8_t* scratch) {
  with_block_format(w.format,
                    [&]<class F>() { prefill_integer<F>(w, input, tokens, y, stride, begin, end, scratch); }) ||
      with_float_format(w.format,
                        [&]<class F>() { prefill_floats<F>(w, input, tokens, y, stride, begin, end, scratch); });
}

constexpr MatmulKernels matmul_kernels = {packed_bytes, pack,          panels, Input::bytes,
                                          load_input,   scratch_bytes, decode, prefill};
