// The converted input of a product: for all tokens int8 codes with the scale and sums of each 32, then the float32
// values.
//
// The error of rounding a group to int8 grows with the square of its scale, so a few groups with outliers cause most of
// it. In every span of kSpanGroups, the kFine groups with the largest scales therefore also have codes for their
// remainders, in effect 16 bits. This more than halves the loss (KL divergence) for a sixteenth more products.

constexpr int kSpanGroups = 32, kFine = 2;

struct ColumnGroup {  // 32 columns of a token, in one line of the cache
  int8_t codes[32];
  float scale;      // x = scale * code
  int32_t sums[3];  // of the codes: all 32, the first 16, the last 16
  float totals[3];  // scale * sums
  int32_t index;    // of the group in its row
};
static_assert(sizeof(ColumnGroup) == 64);

struct Input {
  int64_t tokens, columns, groups, spans;
  ColumnGroup* coded;  // (tokens, groups)
  ColumnGroup* fine;   // (spans, tokens, kFine), in ascending order; the scale is 0 where there is no remainder
  float* values;       // (tokens, columns), if float weights read the input

  Input(const uint8_t* input, int64_t tokens, int64_t columns)
      : tokens(tokens), columns(columns), groups((columns + 31) / 32), spans((groups + kSpanGroups - 1) / kSpanGroups) {
    coded = reinterpret_cast<ColumnGroup*>(const_cast<uint8_t*>(input));
    fine = coded + tokens * groups;
    values = reinterpret_cast<float*>(fine + tokens * spans * kFine);
  }
  static size_t bytes(int64_t tokens, int64_t columns, bool floats) {
    const Input none(nullptr, 0, columns);
    const int64_t coded = (none.groups + none.spans * kFine) * int64_t(sizeof(ColumnGroup));
    return size_t(tokens * (coded + (floats ? columns * 4 : 0)));
  }
  // Calls f(group) for the fine groups of a token in [first, last), which lies in one span.
  template <class Fn> BITWRIGHT_FORCE void each_fine(int64_t token, int64_t first, int64_t last, Fn f) const {
    const ColumnGroup* at = fine + (first / kSpanGroups * tokens + token) * kFine;
    for (const ColumnGroup* end = at + kFine; at < end; ++at) {
      if (at->scale != 0 && at->index >= first && at->index < last) f(*at);
    }
  }
};

// The largest magnitude of n values, a multiple of 32; a NaN or an infinity counts as largest.
inline float largest_of(const float* x, int64_t n) {
  Ints most{};
  for (int64_t j = 0; j < n; j += kLanes) {
    const Ints bits = (Ints)load(x + j) & 0x7fffffff;
    most = bits > most ? bits : most;
  }
  return __builtin_bit_cast(float, largest(most));
}

// Rounds one group to symmetric int8, nearest even, with `largest` at 127. A NaN or infinity makes the scale NaN or
// infinite, and so every product with it NaN. Below 1e-30, where 127 / largest could overflow, the group counts as zero.
inline void load_group(const float* x, float largest, int64_t index, ColumnGroup& group) {
  const bool tiny = largest < 1e-30f, finite = __builtin_bit_cast(int32_t, largest) < 0x7f800000;
  const float scale = tiny ? 0.0f : largest / 127.0f, inverse = tiny || !finite ? 0.0f : 127.0f / largest;
  const int32_t keep = finite ? -1 : 0;  // without a finite scale the codes would be arbitrary
  for (int s = 0; s < 2; ++s) {
    Floats sums{};  // exact: whole numbers of at most 16 * 127
    for (int j = 16 * s; j < 16 * s + 16; j += kLanes) {
      const Ints codes = to_ints(round_even(load(x + j) * inverse)) & keep;
      narrow(group.codes + j, codes);
      sums += to_floats(codes);
    }
    group.sums[1 + s] = int32_t(sum(sums));
  }
  group.scale = scale;
  group.index = int32_t(index);
  group.sums[0] = group.sums[1] + group.sums[2];
  for (int s = 0; s < 3; ++s) group.totals[s] = scale * float(group.sums[s]);
}

// The values of a group's codes.
BITWRIGHT_INLINE Floats decoded(const ColumnGroup& group, int64_t column) {
  return group.scale * load_codes(group.codes + column);
}

// The remainders of the kFine groups with the largest scales among `count`; zeros where there are fewer.
inline void load_fine(const float* x, const ColumnGroup* coded, int64_t count, ColumnGroup* fine) {
  bool chosen[kSpanGroups] = {};
  for (int f = 0; f < smaller<int64_t>(kFine, count); ++f) {
    int64_t largest = -1;
    for (int64_t g = 0; g < count; ++g) {
      if (!chosen[g] && (largest < 0 || coded[g].scale > coded[largest].scale)) largest = g;
    }
    chosen[largest] = true;
  }
  const ColumnGroup* const end = fine + kFine;
  for (int64_t g = 0; g < count; ++g) {
    if (!chosen[g]) continue;
    float rest[32];
    for (int j = 0; j < 32; j += kLanes) store(rest + j, load(x + 32 * g + j) - decoded(coded[g], j));
    load_group(rest, largest_of(rest, 32), coded[g].index, *fine++);
  }
  for (; fine < end; ++fine) *fine = {};
}

// Rounds as llama.cpp does (ggml/src/ggml-cpu/quants.c): scales stored as float16, or one scale for 256 columns.
inline void load_as_ggml(const float* x, ColumnGroup* coded, int64_t begin, int64_t end, Rounding rounding) {
  const int64_t shared = rounding == Rounding::q8_k ? 8 : 1;
  float largest = 0.0f;
  for (int64_t g = begin; g < end; ++g) {
    ColumnGroup& group = coded[g];
    if (g % shared == 0) largest = largest_of(x + 32 * g, 32 * shared);
    load_group(x + 32 * g, largest, g, group);
    if (rounding == Rounding::q8_1)
      for (float& total : group.totals) total = nearest_half(total);
    if (shared == 1) group.scale = nearest_half(group.scale);
    if (rounding == Rounding::q8_0)
      for (int s = 0; s < 3; ++s) group.totals[s] = group.scale * float(group.sums[s]);
  }
}

// Where llama.cpp's rounding is asked for, the values become those of the codes: there are no remainders, and weights
// converted to float32 see the same input.
inline void load_input(const float* x, int64_t stride, int64_t tokens, int64_t columns, Rounding rounding, bool floats,
                       uint8_t* input, int64_t begin, int64_t end) {
  const Input in(input, tokens, columns);
  for (int64_t t = begin; t < end; ++t) {
    const float* const row = x + t * stride;
    ColumnGroup *const coded = in.coded + t * in.groups, *fine = in.fine + t * kFine;
    for (int64_t first = 0; first < in.groups; first += kSpanGroups, fine += tokens * kFine) {
      const int64_t count = smaller<int64_t>(kSpanGroups, in.groups - first),
                    whole = smaller(count, columns / 32 - first);
      if (rounding != Rounding::own)
        load_as_ggml(row, coded, first, first + whole, rounding);
      else
        for (int64_t g = first; g < first + whole; ++g)
          load_group(row + 32 * g, largest_of(row + 32 * g, 32), g, coded[g]);
      if (whole < count) {  // the last group is incomplete; only float formats allow that
        float last[32] = {};
        __builtin_memcpy(last, row + columns / 32 * 32, size_t(columns % 32) * 4);
        load_group(last, largest_of(last, 32), columns / 32, coded[columns / 32]);
      }
      load_fine(row + 32 * first, coded + first, rounding == Rounding::own ? whole : 0, fine);
    }
    if (!floats) continue;
    float* const values = in.values + t * columns;
    __builtin_memcpy(values, row, size_t(columns) * 4);
    if (rounding == Rounding::own) continue;
    for (int64_t c = 0; c < columns / 32 * 32; c += kLanes) store(values + c, decoded(coded[c / 32], c % 32));
  }
}
