// Products of float32 rows with keys or values, which are widened in registers as they are read.

#if defined(__AVX512F__)
constexpr int kRows = 12;
#elif defined(__AVX2__) || defined(__ARM_NEON)
constexpr int kRows = 6;
#else
constexpr int kRows = 2;  // as many rows × 16 columns of sums as the registers hold
#endif
constexpr int kVectors = kKeyGroup / kLanes;

// How a run of the cache becomes float32: get(rows, r, v) is vector v of row r, its first run or, for `Other`, its second. Codes
// come without their scale, which is applied to sums of keys and to weights of values.
// kPrefetch: rows come from memory, so the same rows of the next block are prefetched.
struct Float32 {
  using Other = Float32;
  static constexpr int64_t kBytes = 64;
  static constexpr bool kPrefetch = false;
  static Floats get(const uint8_t* rows, int64_t r, int v) {
    return load(reinterpret_cast<const float*>(rows + r * kBytes) + v * kLanes);
  }
};
struct Float16 {
  using Other = Float16;
  static constexpr int64_t kBytes = 32;
  static constexpr bool kPrefetch = true;
  static Floats get(const uint8_t* rows, int64_t r, int v) {
    return load_half(reinterpret_cast<const half_t*>(rows + r * kBytes) + v * kLanes);
  }
};
struct BFloat16 {
  using Other = BFloat16;
  static constexpr int64_t kBytes = 32;
  static constexpr bool kPrefetch = true;
  static Floats get(const uint8_t* rows, int64_t r, int v) {
    return load_bf16(reinterpret_cast<const bf16_t*>(rows + r * kBytes) + v * kLanes);
  }
};
struct Codes8 {
  using Other = Codes8;
  static constexpr int64_t kBytes = 16;
  static constexpr bool kPrefetch = true;
  static Floats get(const uint8_t* rows, int64_t r, int v) {
    return load_codes(reinterpret_cast<const int8_t*>(rows + r * kBytes) + v * kLanes);
  }
};
struct HighCodes4 {
  static constexpr int64_t kBytes = 16;
  static constexpr bool kPrefetch = true;
  static Floats get(const uint8_t* rows, int64_t r, int v) {
    return load_high(reinterpret_cast<const int8_t*>(rows + r * kBytes) + v * kLanes);
  }
};
struct Codes4 {
  using Other = HighCodes4;
  static constexpr int64_t kBytes = 16;
  static constexpr bool kPrefetch = true;
  static Floats get(const uint8_t* rows, int64_t r, int v) {
    return load_low(reinterpret_cast<const int8_t*>(rows + r * kBytes) + v * kLanes);
  }
};
template <typename E> constexpr bool kPaired = !__is_same(E, typename E::Other);  // two runs in a row

// The row that holds a dim: in a group of keys, or (in units of 16 dims) in a value.
template <typename E> static inline int64_t key_row(int64_t dim) { return kPaired<E> ? dim / 32 * 16 + dim % 16 : dim; }
template <typename E> static inline int64_t value_row(int64_t dim) { return dim / (kPaired<E> ? 32 : 16); }

// Calls f with the type that reads the run of dims [dim, dim + 16).
template <typename E, typename F>
static inline void getting(int64_t dim, F f) {
  if (kPaired<E> && dim & 16)
    f(typename E::Other());
  else
    f(E());
}

// The runs of a matrix (depth, 16 * groups): row first + k * down + g * across holds run k of group g. The same rows of the next
// block lie `ahead` bytes further.
struct Runs {
  const uint8_t* at;
  int64_t first, down, across, ahead;
};

// a[r] · b for R rows and G groups: a is (R, depth). emit(r, column, sums) receives the results, one vector at a time.
template <int R, int G, typename E, typename Emit>
static inline void product(const float* a, int64_t a_stride, Runs b, int64_t depth, Emit emit) {
  Floats sums[R][G][kVectors];
  for (auto& row : sums)
    for (auto& group : row)
      for (Floats& sum : group) sum = Floats{};  // `= {}` would clear memory, not registers
  for (int64_t k = 0, run = b.first; k < depth; ++k, run += b.down) {
    Floats columns[G][kVectors];
    for (int g = 0; g < G; ++g) {
      if constexpr (E::kPrefetch) __builtin_prefetch(b.at + (run + g * b.across) * E::kBytes + b.ahead);
      for (int v = 0; v < kVectors; ++v) columns[g][v] = E::get(b.at, run + g * b.across, v);
    }
    for (int r = 0; r < R; ++r) {
      const Floats factor = splat(a[r * a_stride + k]);
      for (int g = 0; g < G; ++g)
        for (int v = 0; v < kVectors; ++v) sums[r][g][v] = fma(factor, columns[g][v], sums[r][g][v]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int g = 0; g < G; ++g)
      for (int v = 0; v < kVectors; ++v) emit(r, g * kKeyGroup + v * kLanes, sums[r][g][v]);
}

// The same for rows <= kRows and any number of groups, as many at a time as registers can hold.
template <typename E, int R = kRows, typename Emit>
static inline void products(int64_t rows, const float* a, int64_t a_stride, Runs b, int64_t groups, int64_t depth,
                            Emit emit) {
  if constexpr (R > 0) {
    if (rows != R) return products<E, R - 1>(rows, a, a_stride, b, groups, depth, emit);
    constexpr int kOne = (R + 1) * kVectors, kFree = Ops::kRegisters - 2;  // registers: sums and columns of a group
    constexpr int kTogether = 4 * kOne <= kFree ? 4 : 2 * kOne <= kFree ? 2 : 1;
    for (int64_t g = 0; g < groups;) {
      const Runs rest{b.at, b.first + g * b.across, b.down, b.across, b.ahead};
      const auto placed = [&](int r, int64_t column, Floats sum) { emit(r, g * kKeyGroup + column, sum); };
      if (groups - g >= kTogether)
        product<R, kTogether, E>(a, a_stride, rest, depth, placed), g += kTogether;
      else
        product<R, 1, E>(a, a_stride, rest, depth, placed), ++g;
    }
  }
}
