// The most this machine does with the tier's own instructions: reading memory, integer dot products, products of
// float32 and of bfloat16. The arithmetic is the inner loop of a matrix product and nothing else: a tile of sums in
// registers, operands in the first cache. Included inside the tier's namespace.

constexpr int kVector = Ops::kVector;
// Vectors of rows and tokens of a tile; products added to each sum in a round.
constexpr int kRows = 2, kTokens = 6, kSteps = 8;

typedef uint64_t Wide __attribute__((vector_size(kVector), aligned(16), may_alias));

// ORs together all `bytes` bytes (a multiple of 4096). Four places are read in turn, because a core can have more reads
// under way than one run of addresses keeps busy. Prefetching a page ahead helps some cores and slows others: try both.
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

// Runs `round` over sums that start at zero. The compiler can neither know the operands nor keep them in registers from
// round to round, and it has to compute the sums. `round` is a lambda, so that it is inlined: around a call, the sums
// would go through memory.
template <class Sum, class Round> [[gnu::flatten]] void repeat(int64_t rounds, Round round) {
  Operands operands{};
  Sum sums[kRows][kTokens], result[kRows][kTokens];
  BITWRIGHT_TILE sums[r][t] = Sum{};
  for (const Operands* at = &operands; rounds > 0; --rounds) {
    asm volatile("" : "+r"(at) : : "memory");
    round(*at, sums);
  }
  BITWRIGHT_TILE result[r][t] = sums[r][t];
  asm volatile("" : : "r"(&result) : "memory");
}

template <class O> void integer_round(const Operands& in, Ints (&sums)[kRows][kTokens]) {
  Ints partial[kRows][kTokens];
  BITWRIGHT_TILE partial[r][t] = O::kDirect ? sums[r][t] : Ints{};
  _Pragma("GCC unroll 8") for (int k = 0; k < kSteps; ++k) {
    Bytes w[kRows];
    for (int r = 0; r < kRows; ++r) w[r] = load(in.rows[k][r]);
    BITWRIGHT_TILE partial[r][t] = O::template step<false>(partial[r][t], w[r], in.tokens[t] + 4 * k);
  }
  BITWRIGHT_TILE sums[r][t] = O::flush(sums[r][t], partial[r][t]);
}

// The same by two rows and two tokens at a time (Ops::kMatrix).
template <class O> void matrix_round(const Operands& in, Ints (&sums)[kRows][kTokens]) {
  _Pragma("GCC unroll 8") for (int k = 0; k < kSteps; k += 2) {
    Bytes w[2][kRows], x[kTokens / 2];
    for (int r = 0; r < kRows; ++r) w[0][r] = load(in.rows[k][r]), w[1][r] = load(in.rows[k + 1][r]);
    for (int t = 0; t < kTokens / 2; ++t) x[t] = O::tokens(in.tokens[2 * t] + 4 * k, in.tokens[2 * t + 1] + 4 * k);
    BITWRIGHT_TILE sums[r][t] = O::matrix(sums[r][t], w[t % 2][r], x[t / 2]);
  }
}

// bfloat16 as the engine multiplies it: widened to float32.
inline void widened_round(const Operands& in, Floats (&sums)[kRows][kTokens]) {
  _Pragma("GCC unroll 8") for (int k = 0; k < kSteps; ++k) {
    Floats w[kRows];
    for (int r = 0; r < kRows; ++r) w[r] = load_bf16(in.rows[k][r]);
    BITWRIGHT_TILE sums[r][t] = fma(w[r], splat(reinterpret_cast<const float*>(in.tokens[t])[k]), sums[r][t]);
  }
}

// bfloat16 by its own dot product (Ops::kBf16Dot), two columns to a lane.
template <class O> void bf16_round(const Operands& in, Floats (&sums)[kRows][kTokens]) {
  _Pragma("GCC unroll 8") for (int k = 0; k < kSteps; ++k) {
    Bytes w[kRows];
    for (int r = 0; r < kRows; ++r) w[r] = load(in.rows[k][r]);
    BITWRIGHT_TILE sums[r][t] = O::bf16_dot(sums[r][t], w[r], in.tokens[t] + 4 * k);
  }
}

// These return the operations done; a product and a sum are two.
inline int64_t integer_dots(int64_t rounds) {
  repeat<Ints>(rounds, []<class Sums>(const Operands& in, Sums& sums) {
    if constexpr (Ops::kMatrix)
      matrix_round<Ops>(in, sums);
    else
      integer_round<Ops>(in, sums);
  });
  return rounds * kRows * kTokens * kSteps * kVector * 2;
}

inline int64_t float32_dots(int64_t rounds) {
  repeat<Floats>(rounds, [](const Operands& in, Floats(&sums)[kRows][kTokens]) {
    _Pragma("GCC unroll 8") for (int k = 0; k < kSteps; ++k) {
      Floats w[kRows];
      for (int r = 0; r < kRows; ++r) w[r] = load(reinterpret_cast<const float*>(in.rows[k][r]));
      BITWRIGHT_TILE sums[r][t] = fma(w[r], splat(reinterpret_cast<const float*>(in.tokens[t])[k]), sums[r][t]);
    }
  });
  return rounds * kRows * kTokens * kSteps * kLanes * 2;
}

template <class O> int64_t dots_of_bf16(int64_t rounds) {
  if constexpr (O::kBf16Dot) {
    if (platform::features() & feature::avx512_bf16) {
      repeat<Floats>(rounds, [](const Operands& in, Floats(&sums)[kRows][kTokens]) { bf16_round<O>(in, sums); });
      return rounds * kRows * kTokens * kSteps * kLanes * 2 * 2;
    }
  }
  repeat<Floats>(rounds, [](const Operands& in, Floats(&sums)[kRows][kTokens]) { widened_round(in, sums); });
  return rounds * kRows * kTokens * kSteps * kLanes * 2;
}

#undef BITWRIGHT_TILE

constexpr LimitKernels limit_kernels = {
    {read_all<false>, read_all<true>}, integer_dots, float32_dots, dots_of_bf16<Ops>};
