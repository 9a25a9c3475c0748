// What a block format contributes to the engine: how to read the codes and scales of a group of 32 columns, where
//     w = scale * code + min
// with one scale and min per 16 columns, computed in ggml's order, so that `dequantize` equals ggml bit for bit. A
// format is a struct with the static members below; everything else (layouts, kernels, dequantize) is derived from
// them.
//
//   Block, id, columns       the bytes, the GGUF type, and the columns of one block
//   codes(b, g, out)         writes the 32 signed codes of group g of the block
//   kind                     how scales are stored, which decides the accessors (i is a sub-block's index):
//     half      scale(b) [min(b)]                                float16 per 32 columns
//     super     scale(b) sub_scale(b, i) [min(b) sub_min(b, i)]  scale * factor * sub_scale, and -(min * sub_min)
//     e8m0      e(b)      ue4m3  e(b, i)     real  scale(b)
//   bits, offset, highest    packed codes are unsigned: code + offset, at most `highest`, in `bits` bits each
//   level(i)                 (codebook formats) the packed bits index a table of 16 codes; `offset` makes these unsigned
//   needs_codebooks          codes come from `codebooks`, which Python has to set first
//   full                     codes span int8, so each tier chooses the offset
#pragma once
#include "codebooks.h"
#include "fp.h"

namespace bitwright {
namespace {

enum class Kind { half, super, e8m0, ue4m3, real };

template <int kBits, int kOffset, int kHighest, Kind kKind, int kSub, int kColumns>
struct Numbers {
  static constexpr int bits = kBits, offset = kOffset, highest = kHighest, sub_columns = kSub, columns = kColumns;
  static constexpr Kind kind = kKind;
  static constexpr bool full = kHighest > 127;
  static constexpr float factor = 1.0f;
  static constexpr bool needs_codebooks = false;
};

template <class F>
concept HasMin = requires(const typename F::Block& b) { F::min(b); };
template <class F>
concept HasTable = requires { F::level(0); };

inline uint32_t load32(const void* p) {
  uint32_t v;
  __builtin_memcpy(&v, p, 4);
  return v;
}

// -- derived from these

template <class F> float scale_of(const typename F::Block& b, int i) {
  if constexpr (F::kind == Kind::half)
    return half_to_float(F::scale(b));
  else if constexpr (F::kind == Kind::super)
    return half_to_float(F::scale(b)) * F::factor * float(F::sub_scale(b, i));
  else if constexpr (F::kind == Kind::e8m0)
    return e8m0_half_to_float(F::e(b));
  else if constexpr (F::kind == Kind::ue4m3)
    return ue4m3_half_to_float(F::e(b, i));
  else
    return F::scale(b);
}

// Without a min: adding -0.0 changes no number, not even the sign of a zero.
template <class F> float min_of(const typename F::Block& b, int i) {
  if constexpr (!HasMin<F>)
    return -0.0f;
  else if constexpr (F::kind == Kind::half)
    return half_to_float(F::min(b));
  else
    return -(half_to_float(F::min(b)) * float(F::sub_min(b, i)));
}

template <class F> const typename F::Block& block_of(const uint8_t* row, int64_t group) {
  return reinterpret_cast<const typename F::Block*>(row)[group / (F::columns / 32)];
}

template <class F> constexpr int64_t row_bytes_of(int64_t columns) {
  return columns / F::columns * int64_t(sizeof(typename F::Block));
}

}  // namespace
}  // namespace bitwright
