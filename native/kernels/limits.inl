// What the machine does at best with the tier's own instructions: reading memory, the integer dot product, float multiply-add.
// The arithmetic is the inner loop of a matrix product and nothing else: a tile of sums in registers, operands in the first
// cache. Included inside a namespace of the tier's.

using Bytes = Ops::Bytes;
using Ints = Ops::Ints;
using Floats = Ops::Floats;
constexpr int kVector = Ops::kVector, kLanes = Ops::kLanes;
constexpr int kRows = 2, kTokens = 6,
              kSteps = 8;  // vectors of rows and tokens of a tile; products added to each sum in a round

typedef uint64_t Wide __attribute__((vector_size(kVector), aligned(16), may_alias));

// All bits of `bytes` (a multiple of 4096) or-ed together. Four places are read in turn, because a core can have more reads
// under way than one run of addresses keeps busy. Some cores gain from being asked a page ahead and others lose: try both.
template <bool kPrefetch> uint64_t read_all(const uint8_t* data, size_t bytes) {
  constexpr size_t kPlaces = 4, kStep = 128;
  Wide seen[4] = {};
  for (size_t i = 0; i < bytes / kPlaces; i += kStep) {
    for (size_t place = 0; place < kPlaces; ++place) {
      const uint8_t* at = data + place * (bytes / kPlaces) + i;
      if (kPrefetch)
        for (size_t line = 0; line < kStep; line += 64) __builtin_prefetch(at + line + 4096);
      for (size_t j = 0; j < kStep / kVector; ++j) seen[j % 4] |= *reinterpret_cast<const Wide*>(at + j * kVector);
    }
  }
  const Wide all = seen[0] | seen[1] | seen[2] | seen[3];
  uint64_t result = 0;
  for (size_t i = 0; i < kVector / 8; ++i) result |= all[i];
  return result;
}

struct Operands {
  alignas(64) uint8_t rows[kSteps][kRows][kVector];
  alignas(64) int8_t tokens[kTokens][4 * kSteps];
};

#define BITWRIGHT_TILE \
  _Pragma("GCC unroll 8") for (int t = 0; t < kTokens; ++t) _Pragma("GCC unroll 8") for (int r = 0; r < kRows; ++r)

// Runs `round` over sums that start at zero, such that the compiler can neither know the operands nor keep them in registers
// from round to round, but has to compute the sums.
template <class Sum, class Round> void repeat(int64_t rounds, Sum zero, Round round) {
  Operands operands{};
  Sum sums[kRows][kTokens], result[kRows][kTokens];
  BITWRIGHT_TILE sums[r][t] = zero;
  for (const Operands* at = &operands; rounds > 0; --rounds) {
    asm volatile("" : "+r"(at) : : "memory");
    round(*at, sums);
  }
  BITWRIGHT_TILE result[r][t] = sums[r][t];
  asm volatile("" : : "r"(&result) : "memory");
}

template <class O> void integer_round(const Operands& in, Ints (&sums)[kRows][kTokens]) {
  typename O::Partial partial[kRows][kTokens];
  BITWRIGHT_TILE {
    if constexpr (O::kDirect)
      partial[r][t] = sums[r][t];
    else
      partial[r][t] = typename O::Partial{};
  }
  _Pragma("GCC unroll 8") for (int k = 0; k < kSteps; ++k) {
    Bytes w[kRows];
    for (int r = 0; r < kRows; ++r) w[r] = O::load(in.rows[k][r]);
    BITWRIGHT_TILE partial[r][t] = O::template step<false>(partial[r][t], w[r], in.tokens[t] + 4 * k);
  }
  BITWRIGHT_TILE sums[r][t] = O::flush(sums[r][t], partial[r][t]);
}

// The same by two rows and two tokens at a time (Ops::kMatrix).
template <class O> void matrix_round(const Operands& in, Ints (&sums)[kRows][kTokens]) {
  _Pragma("GCC unroll 8") for (int k = 0; k < kSteps; k += 2) {
    Bytes w[2][kRows], x[kTokens / 2];
    for (int r = 0; r < kRows; ++r) w[0][r] = O::load(in.rows[k][r]), w[1][r] = O::load(in.rows[k + 1][r]);
    for (int t = 0; t < kTokens / 2; ++t) x[t] = O::tokens(in.tokens[2 * t] + 4 * k, in.tokens[2 * t + 1] + 4 * k);
    BITWRIGHT_TILE sums[r][t] = O::matrix(sums[r][t], w[t % 2][r], x[t / 2]);
  }
}

// Both return the operations done; a product and a sum are two.
inline int64_t integer_dots(int64_t rounds) {
  if constexpr (Ops::kMatrix)
    repeat(rounds, Ops::splat(int32_t(0)), matrix_round<Ops>);
  else
    repeat(rounds, Ops::splat(int32_t(0)), integer_round<Ops>);
  return rounds * kRows * kTokens * kSteps * kVector * 2;
}

inline int64_t float_dots(int64_t rounds) {
  repeat(rounds, Ops::splat(0.0f), [](const Operands& in, Floats(&sums)[kRows][kTokens]) {
    _Pragma("GCC unroll 8") for (int k = 0; k < kSteps; ++k) {
      Floats w[kRows];
      for (int r = 0; r < kRows; ++r) w[r] = Ops::load(reinterpret_cast<const float*>(in.rows[k][r]));
      BITWRIGHT_TILE sums[r][t] =
          Ops::fma(w[r], Ops::splat(reinterpret_cast<const float*>(in.tokens[t])[k]), sums[r][t]);
    }
  });
  return rounds * kRows * kTokens * kSteps * kLanes * 2;
}

#undef BITWRIGHT_TILE

constexpr LimitKernels limit_kernels = {{read_all<false>, read_all<true>}, integer_dots, float_dots};
