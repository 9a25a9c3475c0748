// The converted input of a product: for all tokens int8 codes, then the scale and sums of each 32 codes, then the float32
// values.
//
// The error of rounding a group to int8 grows with the square of its scale, so a few groups with outliers cause most of
// it. In every piece (kPieceGroups groups), the kFine groups with the largest scales therefore also have codes for their
// remainders, in effect 16 bits. This more than halves the loss (KL divergence) for a sixteenth more products.

constexpr int kPieceGroups = 32, kFine = 2;

struct ColumnGroup {
  float scale;      // x = scale * code
  int32_t sums[3];  // of the codes: all 32, the first 16, the last 16
  float totals[3];  // scale * sums
  int32_t group;    // the group's index
};

struct Input {
  const int8_t *codes, *fine_codes;  // (tokens, groups, 32), (tokens, pieces, kFine, 32)
  const ColumnGroup *infos, *fine;   // (tokens, groups), (tokens, pieces, kFine)
  const float* values;               // (tokens, columns)
  int64_t groups, pieces, columns;

  Input(const uint8_t* input, int64_t tokens, int64_t columns_)
      : groups((columns_ + 31) / 32), pieces((groups + kPieceGroups - 1) / kPieceGroups), columns(columns_) {
    codes = reinterpret_cast<const int8_t*>(input);
    fine_codes = codes + tokens * groups * 32;
    infos = reinterpret_cast<const ColumnGroup*>(fine_codes + tokens * pieces * kFine * 32);
    fine = infos + tokens * groups;
    values = reinterpret_cast<const float*>(fine + tokens * pieces * kFine);
  }
  static size_t bytes(int64_t tokens, int64_t columns) {
    const Input none(nullptr, 0, columns);
    return size_t(tokens * ((none.groups + none.pieces * kFine) * (32 + int64_t(sizeof(ColumnGroup))) + columns * 4));
  }
};

// The largest magnitude of n values; a NaN or an infinity counts as largest.
inline float largest_of(const float* x, int64_t n) {
  int32_t largest = 0;
  for (int64_t j = 0; j < n; ++j) {
    const int32_t bits = __builtin_bit_cast(int32_t, x[j]) & 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  return __builtin_bit_cast(float, largest);
}

// Rounds one group to symmetric int8, nearest even, with `largest` at 127. A NaN or infinity makes the scale NaN or
// infinite, and so every product with it NaN. Below 1e-30, where 127 / largest could overflow, the group counts as zero.
inline void load_group(const float* x, float largest, int8_t* codes, ColumnGroup& info, int64_t group) {
  const bool tiny = largest < 1e-30f, finite = __builtin_bit_cast(int32_t, largest) < 0x7f800000;
  const float scale = tiny ? 0.0f : largest / 127.0f, inverse = tiny || !finite ? 0.0f : 127.0f / largest;
  const int32_t keep = finite ? -1 : 0;  // without a finite scale the codes would be arbitrary, and their sums overflow
  int32_t sums[2] = {};
  for (int s = 0; s < 2; ++s) {
    for (int j = 16 * s; j < 16 * s + 16; ++j) {
      const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, held in the low bits
      const int32_t bits = __builtin_bit_cast(int32_t, x[j] * inverse + magic);
      const int32_t code = (bits - __builtin_bit_cast(int32_t, magic)) & keep;
      codes[j] = int8_t(code);
      sums[s] += code;
    }
  }
  info = {scale, {sums[0] + sums[1], sums[0], sums[1]}, {}, int32_t(group)};
  for (int s = 0; s < 3; ++s) info.totals[s] = scale * float(info.sums[s]);
}
inline void load_group(const float* x, int8_t* codes, ColumnGroup& info, int64_t group) {
  load_group(x, largest_of(x, 32), codes, info, group);
}

// The remainders of the kFine groups with the largest scales among `count`; zeros where there are fewer.
inline void load_fine(const float* x, const int8_t* codes, const ColumnGroup* infos, int64_t count, int8_t* fine_codes,
                      ColumnGroup* fine) {
  for (int f = 0; f < kFine; ++f) {
    int64_t largest = -1;
    for (int64_t g = 0; g < count; ++g) {
      bool taken = false;
      for (int before = 0; before < f; ++before) taken |= fine[before].group == infos[g].group;
      if (!taken && (largest < 0 || infos[g].scale > infos[largest].scale)) largest = g;
    }
    float rest[32] = {};
    const int64_t g = largest < 0 ? 0 : largest;
    if (largest >= 0)
      for (int j = 0; j < 32; ++j) rest[j] = x[32 * g + j] - infos[g].scale * float(codes[32 * g + j]);
    load_group(rest, fine_codes + 32 * f, fine[f], infos[g].group);
  }
}

// Rounds as llama.cpp does (ggml/src/ggml-cpu/quants.c): scales stored as float16, or one scale for 256 columns. The
// values become those of the codes, so there are no remainders, and weights converted to float32 see the same input.
inline void load_as_ggml(float* values, int8_t* codes, ColumnGroup* infos, int64_t begin, int64_t end,
                         Rounding rounding) {
  const int64_t shared = rounding == Rounding::q8_k ? 8 : 1;
  float largest = 0.0f;
  for (int64_t g = begin; g < end; ++g) {
    float* const x = values + 32 * g;
    ColumnGroup& info = infos[g];
    if (g % shared == 0) largest = largest_of(x, 32 * shared);
    load_group(x, largest, codes + 32 * g, info, g);
    if (rounding == Rounding::q8_1)
      for (float& total : info.totals) total = nearest_half(total);
    if (shared == 1) info.scale = nearest_half(info.scale);
    if (rounding == Rounding::q8_0)
      for (int s = 0; s < 3; ++s) info.totals[s] = info.scale * float(info.sums[s]);
    for (int j = 0; j < 32; ++j) x[j] = info.scale * float(codes[32 * g + j]);
  }
}

inline void load_input(const float* x, int64_t stride, int64_t tokens, int64_t columns, Rounding rounding,
                       uint8_t* input, int64_t begin, int64_t end) {
  const Input in(input, tokens, columns);
  for (int64_t t = begin; t < end; ++t) {
    auto* codes = const_cast<int8_t*>(in.codes) + t * in.groups * 32;
    auto* fine_codes = const_cast<int8_t*>(in.fine_codes) + t * in.pieces * kFine * 32;
    auto* infos = const_cast<ColumnGroup*>(in.infos) + t * in.groups;
    auto* fine = const_cast<ColumnGroup*>(in.fine) + t * in.pieces * kFine;
    auto* values = const_cast<float*>(in.values) + t * columns;
    __builtin_memcpy(values, x + t * stride, size_t(columns) * 4);
    for (int64_t first = 0; first < in.groups; first += kPieceGroups, fine_codes += kFine * 32, fine += kFine) {
      const int64_t count = smaller<int64_t>(kPieceGroups, in.groups - first),
                    whole = smaller(count, columns / 32 - first);
      if (rounding != Rounding::own)
        load_as_ggml(values, codes, infos, first, first + whole, rounding);
      else
        for (int64_t g = first; g < first + whole; ++g) load_group(values + 32 * g, codes + 32 * g, infos[g], g);
      if (whole < count) {  // the last group is incomplete; only float formats allow that
        float last[32] = {};
        __builtin_memcpy(last, values + columns / 32 * 32, size_t(columns % 32) * 4);
        load_group(last, codes + columns / 32 * 32, infos[columns / 32], columns / 32);
      }
      load_fine(values + 32 * first, codes + 32 * first, infos + first, whole, fine_codes, fine);
    }
  }
}
