// Every tier this program was built with, on every format, ragged size, token count and path, against sums in double of the
// dequantized weights. Where all terms are multiples of one power of two and stay below 2^24 of it, float arithmetic is exact
// and the results must be equal: that holds the integer parts of all tiers to each other. Elsewhere the bound is derived.
// Prints one line per tier; on failure also the worst cell, and returns 1. Needs no Python, so that it runs under an emulator.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "../dequantize.h"
#include "../tier.h"
#include "../unpack.h"

namespace bitwright {
#ifdef BITWRIGHT_EMULATE_AVX512
extern const Tier tier_avx512_vnni;
#endif
}  // namespace bitwright

using namespace bitwright;

namespace {

std::mt19937 generator(7);
int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator); }

// Any table within the formats' ranges will do: the real ones are checked from Python.
void fill_codebooks() {
  const int8_t iq2[4] = {8, 25, 43, 0}, iq3[8] = {4, 12, 20, 28, 36, 44, 52, 62};
  std::memcpy(codebooks.iq2_levels, iq2, 4);
  std::memcpy(codebooks.iq3_xxs_levels, iq3, 8);
  for (int i = 0; i < 8; ++i) codebooks.iq3_s_levels[i] = int8_t(2 * i + 1);
  for (int i = 0; i < 16; ++i) codebooks.iq4_nl[i] = int8_t(-128 + 17 * i);
  auto fill = [](auto& grid, auto&& value) {
    for (auto& entry : grid)
      for (auto& v : entry) v = static_cast<std::decay_t<decltype(v)>>(value());
  };
  auto from = [](const int8_t* levels, int n) { return [=] { return levels[pick(0, n - 1)]; }; };
  fill(codebooks.iq2_xxs, from(iq2, 3));
  fill(codebooks.iq2_xs, from(iq2, 3));
  fill(codebooks.iq2_s, from(iq2, 3));
  fill(codebooks.iq3_xxs, from(iq3, 8));
  fill(codebooks.iq3_s, from(codebooks.iq3_s_levels, 8));
  fill(codebooks.iq1, [] { return pick(-1, 1); });
  codebooks.loaded = true;
}

enum class Fill { random, exact, zeros, ones };  // ones: every bit of every code and small scale

// Scales of exactly 1 (or, with random, of about 1/100); the rest as `fill` says.
template <class F> void fill_block(typename F::Block& b, Fill fill) {
  auto* bytes = reinterpret_cast<uint8_t*>(&b);
  for (size_t i = 0; i < sizeof(b); ++i)
    bytes[i] = uint8_t(fill == Fill::zeros ? 0 : fill == Fill::ones ? 255 : pick(0, 255));
  const auto scale = half_t(fill == Fill::random ? pick(0x1c00, 0x2400) | pick(0, 1) << 15 : 0x3c00);
  if constexpr (F::id == FormatId::iq1_m) {
    for (int i = 0; i < 4; ++i) b.scales[2 * i + 1] = uint8_t((b.scales[2 * i + 1] & 15) | (scale >> 4 * i & 15) << 4);
  } else if constexpr (F::kind == Kind::e8m0) {
    b.e = uint8_t(fill == Fill::random ? pick(115, 125) : 128);
  } else if constexpr (F::kind == Kind::ue4m3) {
    for (uint8_t& e : b.d) e = uint8_t(fill == Fill::random ? pick(0, 126) : 0x40);
  } else if constexpr (F::kind == Kind::real) {
    b.d = half_to_float(scale);
  } else {
    b.d = scale;
  }
  if constexpr (requires { b.dmin; }) b.dmin = scale;
  if constexpr (requires { b.m; }) b.m = scale;
}

struct Worst {
  double ratio = 0;
  std::string cell;
  int64_t exact = 0, cells = 0;
};

struct Case {
  std::string name;
  FormatId format;
  int64_t rows, columns;
  std::vector<uint8_t> file;
  std::vector<float> x;                 // (kMostTokens, columns)
  std::vector<double> want, magnitude;  // (kMostTokens, rows): the sum of products, and of their magnitudes
  double unit = 0;                      // 0: not exact; else every product is a multiple of it
};

constexpr int kMostTokens = 13;
constexpr int kTokenCounts[] = {1, 2, 3, 5, 8, kMostTokens};

// What an input may be, so that every product is exact: integers with a 127 in every 32, which int8 holds; all of them 127;
// or, in the groups of the largest scales (the first of equal ones), with remainders in 256ths, one of them 127.
enum class Values { small, large, remainders };

// The inputs, and what is expected of them. The weights are dequantized.
void finish(Case& c, Values values) {
  std::vector<float> w(size_t(c.rows * c.columns));
  dequantize(c.format, c.file.data(), c.rows * c.columns, w.data());
  c.x.resize(size_t(kMostTokens * c.columns));
  for (size_t i = 0; i < c.x.size(); ++i) {
    const size_t column = i % size_t(c.columns);
    const bool top = column % 32 == 5 || values == Values::large;
    c.x[i] = float(top ? (pick(0, 1) ? 127 : -127) : pick(-20, 20));
    if (values == Values::remainders && !top && column / 32 % 32 < 2)
      c.x[i] += float(column % 32 == 9 ? 127 : pick(-127, 127)) / 256;
  }
  c.want.assign(size_t(kMostTokens * c.rows), 0.0);
  c.magnitude = c.want;
  for (int64_t t = 0; t < kMostTokens; ++t) {
    for (int64_t r = 0; r < c.rows; ++r) {
      for (int64_t i = 0; i < c.columns; ++i) {
        const double product = double(w[size_t(r * c.columns + i)]) * double(c.x[size_t(t * c.columns + i)]);
        c.want[size_t(t * c.rows + r)] += product;
        c.magnitude[size_t(t * c.rows + r)] += std::fabs(product);
      }
    }
  }
}

void compare(const Tier& tier, const Case& c, int64_t tokens, bool prefill, const std::vector<float>& y, int64_t stride,
             Worst& worst) {
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < stride; ++r) {
      const float got = y[size_t(t * stride + r)];
      const size_t i = size_t(t * c.rows + r);
      if (r >= c.rows && got == -7.0f) continue;  // the gap between rows of y must stay as it was
      const double want = r < c.rows ? c.want[i] : -7.0, magnitude = r < c.rows ? c.magnitude[i] : 0;
      // A min is added apart from the codes it belongs to, so what is summed exceeds the terms: here at most 8 times.
      const bool exact = c.unit > 0 && 8 * magnitude < c.unit * 16777216.0;
      const double bound =
          exact ? 0 : magnitude * 8 * double(c.columns / 16 + 8) * 0x1p-24;  // one rounding an addition
      worst.exact += exact;
      worst.cells += 1;
      const double ratio = got == want ? 0 : bound > 0 ? std::fabs(got - want) / bound : HUGE_VAL;
      if (!(ratio <= worst.ratio)) {
        char text[256];
        std::snprintf(text, sizeof text, "%s %s (%lld, %lld) %s token %lld of %lld row %lld: expected %.9g, got %.9g",
                      tier.name, c.name.c_str(), (long long)c.rows, (long long)c.columns,
                      prefill ? "prefill" : "decode", (long long)t, (long long)tokens, (long long)r, want, got);
        worst.ratio = std::isnan(ratio) ? HUGE_VAL : ratio;
        worst.cell = text;
      }
    }
  }
}

uint8_t* align(std::vector<uint8_t>& v) { return v.data() + (64 - reinterpret_cast<uintptr_t>(v.data()) % 64) % 64; }

void run(const Tier& tier, const Case& c, Worst& worst) {
  const MatmulKernels& k = tier.matmul;
  Weight w = {c.format, c.rows, c.columns, c.file.data(), nullptr};
  const size_t bytes = k.packed_bytes(w), scratch_bytes = k.scratch_bytes(w);
  std::vector<uint8_t> packed(bytes + 128, 0xee), scratch(scratch_bytes + 128, 0xff);
  const int64_t panels = k.panels(w);
  if (bytes) {
    for (int64_t p = 0; p < panels; ++p) k.pack(w, align(packed), p, p + 1);
    for (int i = 0; i < 8; ++i)
      if (align(packed)[bytes + size_t(i)] != 0xee) {
        worst.ratio = HUGE_VAL;
        worst.cell = std::string(tier.name) + " " + c.name + " wrote past its packed weights";
      }
    w.packed = align(packed);
  }
  const int64_t stride = c.rows + 3;
  for (const int64_t tokens : kTokenCounts) {
    std::vector<uint8_t> input(k.input_bytes(tokens, c.columns) + 128);
    for (int64_t t = 0; t < tokens; ++t)
      k.load_input(c.x.data(), c.columns, tokens, c.columns, Rounding::own, align(input), t, t + 1);
    for (const bool prefill : {false, true}) {
      std::vector<float> y(size_t(tokens * stride), -7.0f);
      const int64_t middle = panels / 2;  // two threads' shares
      for (auto [begin, end] : {std::pair{int64_t(0), middle}, std::pair{middle, panels}}) {
        (prefill ? k.prefill : k.decode)(w, align(input), tokens, y.data(), stride, begin, end, align(scratch));
      }
      compare(tier, c, tokens, prefill, y, stride, worst);
    }
  }
}

// What is read to measure the memory is read whole: a bit set anywhere is seen. And a path is what the other tables say.
bool check_limits(const Tier& tier) {
  std::vector<uint8_t> data(2 * 4096 + 128);  // a prefetch may point past it
  uint8_t* at = align(data);
  for (size_t i = 0; i < 4096; ++i) {
    at[i] = 1;
    for (const auto read : tier.limits.read) {
      if (read(at, 4096) != uint64_t{1} << 8 * (i % 8))
        return std::printf("FAILED %s: byte %zu is not read\n", tier.name, i), false;
    }
    at[i] = 0;
  }
  if (tier.limits.integer_dots(3) != 3 * tier.limits.integer_dots(1) ||
      tier.limits.float_dots(3) != 3 * tier.limits.float_dots(1))
    return std::printf("FAILED %s: the operations of three rounds are not three times those of one\n", tier.name),
           false;
  int count;
  const FormatInfo* infos = format_infos(&count);
  for (int i = 0; i < count; ++i) {
    const Weight w = {infos[i].id, 64, 256, nullptr, nullptr};
    const Path expected = infos[i].integer              ? Path::integer_dot
                          : tier.matmul.packed_bytes(w) ? Path::floats
                                                        : Path::converted;
    for (const bool prefill : {false, true}) {
      if (tier.path(w.format, prefill) != expected)
        return std::printf("FAILED %s: format %d does not go the way that its path says\n", tier.name, int(w.format)),
               false;
    }
  }
  return true;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  int count;
  const FormatInfo* infos = format_infos(&count);
  for (int i = 0; i < count; ++i) {
    const FormatInfo& info = infos[i];
    auto add = [&](const char* what, int64_t rows, int64_t columns, Fill fill, Values values) {
      Case c{"format " + std::to_string(int(info.id)) + " " + what, info.id, rows, columns, {}, {}, {}, {}, 0};
      c.file.resize(size_t(rows * row_bytes(info.id, columns)));
      const bool block = with_block_format(info.id, [&]<class F>() {
        for (size_t at = 0; at < c.file.size(); at += sizeof(typename F::Block)) {
          typename F::Block b;
          fill_block<F>(b, fill);
          std::memcpy(&c.file[at], &b, sizeof b);
        }
        if (fill != Fill::random) c.unit = values == Values::remainders ? F::factor / 256 : F::factor;
      });
      if (!block) {  // bytes of an exponent near zero, so that no float is infinite or NaN
        const bool wide = info.id == FormatId::f16 || info.id == FormatId::bf16 || info.id == FormatId::f32;
        for (size_t b = 0; b < c.file.size(); ++b)
          c.file[b] =
              uint8_t(wide && b % size_t(info.block_bytes) == size_t(info.block_bytes) - 1 ? 0x3c | pick(0, 1) << 7
                                                                                           : pick(0, 0x77));
      }
      finish(c, values);
      all.push_back(std::move(c));
    };
    const int64_t n = info.integer ? info.block_columns : info.block_columns == 1 ? 7 : 4;
    add("one block", 1, n, Fill::exact, Values::small);
    add("exact", 7, 256 / n * n, Fill::exact, Values::small);
    add("exact", 33, n * (n < 256 ? 9 : 1), Fill::exact, Values::small);
    add("remainders", 7, 256 / n * n, Fill::exact, Values::remainders);
    add("remainders", 3, (1024 / n + 1) * n, Fill::exact, Values::remainders);
    add("long", 19, (1024 / n + 1) * n, Fill::random, Values::small);
    add("zeros", 5, 2 * n, Fill::zeros, Values::large);
    add("ones", 5, n, Fill::ones, Values::large);
    add("large", 37, n, Fill::exact, Values::large);
  }
  return all;
}

}  // namespace

int main() {
  fill_codebooks();
  const std::vector<Case> all = cases();
  std::vector<const Tier*> tested;
  int count;
  const Tier* const* found = tiers(&count);
  tested.assign(found, found + count);
#ifdef BITWRIGHT_EMULATE_AVX512
  tested.push_back(&tier_avx512_vnni);
#endif
  bool failed = false;
  for (const Tier* tier : tested) {
    Worst worst;
    for (const Case& c : all) run(*tier, c, worst);
    if (!check_limits(*tier)) failed = true;
    std::printf("%s: %lld sums, %lld of them exact, worst error %.3g of its bound\n", tier->name,
                (long long)worst.cells, (long long)worst.exact, worst.ratio);
    if (3 * worst.exact < worst.cells)
      std::printf("FAILED %s: too few sums are exact to compare integers\n", tier->name), failed = true;
    if (worst.ratio > 1) {
      std::printf("FAILED %s\n", worst.cell.c_str());
      failed = true;
    }
  }
  return failed;
}
