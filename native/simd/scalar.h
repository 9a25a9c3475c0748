// The op-set without intrinsics: the reference for the other tiers, and the one that runs where they cannot.
//
// Every op-set provides the same names: kLanes, the vocabulary of vectors.inl and derived.inl, and the operations below,
// which depend on its instructions. In a product a vector covers kLanes rows: Floats and Ints have one lane per row,
// Bytes has four consecutive columns of each row. Codes are unsigned bytes; those that span int8 (kFull) are stored with
// kFullOffset added.
//   kRegisters      vector registers; kVector: bytes of one
//   kRowVectors, kTokens, kFloatTokens    the size of a prefill tile, of codes and of floats
//   kPieceGroups, kTokenBlock    groups of 32 columns and tokens whose codes prefill keeps in the first and second cache
//   kAhead          how many bytes ahead of its use a weight is prefetched in decode: a line in every kAheadStep bytes of
//                   its codes, into the first cache (kAheadLevel 3) or the second (2)
//   fma, widen, narrow, load_half, load_ue4m3    on kLanes numbers; narrow stores int8; e4m3 scales are multiplied by 2^-8
//   table, look_up  sixteen bytes, indexed by each byte
//   step            adds products of four columns to a partial sum, whose lanes depend on the op-set; `run` is how many
//                   steps it can hold before `flush` must add it to Ints. kDirect: a partial sum is Ints
//   kMatrix         whether there is a product of two rows by two tokens (neon.h)
//   kBf16Dot        whether there is a dot product of bfloat16 pairs, for CPUs that have it (avx512.h)
#pragma once
#include "../fp.h"

namespace bitwright {
namespace {

constexpr int kLanes = 4;
#include "vectors.inl"

template <class T> BITWRIGHT_INLINE Ints widen(const T* from) {
  Ints v{};
  for (int i = 0; i < kLanes; ++i) v[i] = from[i];
  return v;
}
BITWRIGHT_INLINE void narrow(int8_t* to, Ints v) {
  for (int i = 0; i < kLanes; ++i) to[i] = int8_t(v[i]);
}
BITWRIGHT_INLINE Floats fma(Floats a, Floats b, Floats c) { return a * b + c; }
BITWRIGHT_INLINE Floats load_half(const void* from) {
  Floats v{};
  for (int i = 0; i < kLanes; ++i) v[i] = half_to_float(static_cast<const half_t*>(from)[i]);
  return v;
}
BITWRIGHT_INLINE Floats load_ue4m3(const uint8_t* from) {
  Floats v{};
  for (int i = 0; i < kLanes; ++i) v[i] = half_to_float(half_t(from[i] << 7));
  return v;
}

struct Ops {
  static constexpr int kRegisters = 16, kVector = 4 * kLanes, kRowVectors = 1, kTokens = 2, kFloatTokens = 3;
  static constexpr int kFullOffset = 0;
  static constexpr int kPieceGroups = 32, kTokenBlock = 64, kAhead = 4096, kAheadLevel = 3, kAheadStep = 64;
  static constexpr bool kDirect = true, kMatrix = false, kBf16Dot = false;

  static Bytes table(const uint8_t* sixteen) { return load(sixteen); }
  static Bytes look_up(Bytes table, Bytes index) {
    for (int i = 0; i < kVector; ++i) index[i] = table[index[i]];
    return index;
  }

  static constexpr int run(int, bool) { return 8; }
  // Not inlined: unrolling it into every kernel would take the compiler minutes.
  template <bool kFull> __attribute__((noinline)) static Ints step(Ints partial, Bytes weights, const int8_t* x) {
    for (int i = 0; i < kLanes; ++i) {
      for (int j = 0; j < 4; ++j) partial[i] += (kFull ? int8_t(weights[4 * i + j]) : int(weights[4 * i + j])) * x[j];
    }
    return partial;
  }
  static Ints flush(Ints, Ints partial) { return partial; }
};

#include "derived.inl"

}  // namespace
}  // namespace bitwright
