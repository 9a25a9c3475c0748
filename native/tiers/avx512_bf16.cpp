// The tier avx512_vnni, except for BF16 weights: they are multiplied by the CPU's dot product of bfloat16. Everything else
// is that tier's own code, which is compiled once. A loaded input is that tier's; the rounded values follow the floats.
#include "../simd/avx512.h"

#include "../attention.h"
#include "../cpu.h"
#include "../format_info.h"
#include "../tier.h"
#include "../unpack.h"

namespace bitwright {

extern const Tier tier_avx512_vnni, tier_avx512_bf16;

namespace encode_avx2 {
extern const EncoderSet encoder_set;
}

namespace {
#include "../kernels/rows.inl"
namespace products {
#include "../kernels/matmul_layout.inl"
#include "../kernels/input.inl"
#include "../kernels/matmul_integer.inl"
#include "../kernels/matmul_integer_prefill.inl"
#include "../kernels/matmul_float.inl"
#include "../kernels/matmul_bf16.inl"
}  // namespace products

using namespace products;

bool is_bf16(const Weight& w) { return w.format == FormatId::bf16; }

const bf16_t* rounded_values(const uint8_t* input, int64_t tokens, int64_t columns) {
  return reinterpret_cast<const bf16_t*>(input + tier_avx512_vnni.matmul.input_bytes(tokens, columns, true));
}

size_t packed_bytes(const Weight& w) {
  const MatmulKernels& others = tier_avx512_vnni.matmul;
  return is_bf16(w) ? size_t(others.panels(w) * pair_panel_bytes(w.columns)) : others.packed_bytes(w);
}

void pack(const Weight& w, uint8_t* packed, int64_t begin, int64_t end) {
  (is_bf16(w) ? pack_pairs : tier_avx512_vnni.matmul.pack)(w, packed, begin, end);
}

size_t input_bytes(int64_t tokens, int64_t columns, bool floats) {
  return tier_avx512_vnni.matmul.input_bytes(tokens, columns, floats) +
         (floats ? size_t(tokens * even(columns)) * sizeof(bf16_t) : 0);
}

void load_both(const float* x, int64_t stride, int64_t tokens, int64_t columns, Rounding rounding, bool floats,
               uint8_t* input, int64_t begin, int64_t end) {
  tier_avx512_vnni.matmul.load_input(x, stride, tokens, columns, rounding, floats, input, begin, end);
  if (!floats) return;
  auto* const rounded = const_cast<bf16_t*>(rounded_values(input, tokens, columns));
  for (int64_t t = begin; t < end; ++t) load_pairs(x + t * stride, columns, rounded + t * even(columns));
}

template <bool kDecode> void multiply(const Weight& w, const uint8_t* input, int64_t tokens, float* y, int64_t stride,
                                      int64_t begin, int64_t end, uint8_t* scratch) {
  const MatmulKernels& others = tier_avx512_vnni.matmul;
  if (is_bf16(w))
    multiply_pairs<kDecode>(w, rounded_values(input, tokens, w.columns), tokens, y, stride, begin, end);
  else
    (kDecode ? others.decode : others.prefill)(w, input, tokens, y, stride, begin, end, scratch);
}

Path path(FormatId format, bool prefill) {
  return format == FormatId::bf16 ? Path::bf16_dot : tier_avx512_vnni.path(format, prefill);
}

}  // namespace

// A function of the other tier. Copying the pointer instead would run code with this file's instructions when the program
// is loaded, on every CPU.
#define BITWRIGHT_OTHER(name) [](auto... arguments) { return tier_avx512_vnni.name(arguments...); }

const Tier tier_avx512_bf16 = {
    "avx512_bf16",
    compiled_features(),
    {packed_bytes, pack, BITWRIGHT_OTHER(matmul.panels), input_bytes, load_both, BITWRIGHT_OTHER(matmul.scratch_bytes),
     multiply<true>, multiply<false>},
    {BITWRIGHT_OTHER(vector.rms_norm), BITWRIGHT_OTHER(vector.rope), BITWRIGHT_OTHER(vector.glu_silu),
     BITWRIGHT_OTHER(vector.glu_gelu), BITWRIGHT_OTHER(vector.glu_clamped), BITWRIGHT_OTHER(vector.glu_sigmoid),
     BITWRIGHT_OTHER(vector.glu_identity), BITWRIGHT_OTHER(vector.gate), BITWRIGHT_OTHER(vector.add),
     BITWRIGHT_OTHER(vector.scale), BITWRIGHT_OTHER(vector.softcap), BITWRIGHT_OTHER(vector.attention),
     BITWRIGHT_OTHER(vector.convolve), BITWRIGHT_OTHER(vector.delta_rule)},
    path,
    {{BITWRIGHT_OTHER(limits.read[0]), BITWRIGHT_OTHER(limits.read[1])},
     BITWRIGHT_OTHER(limits.integer_dots),
     BITWRIGHT_OTHER(limits.float32_dots),
     pair_dots},
    BITWRIGHT_OTHER(dequantize),
    &encode_avx2::encoder_set};

}  // namespace bitwright
