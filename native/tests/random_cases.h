// Matrix products with known results, for every format: random blocks, inputs, and sums in double of the dequantized
// weights.
#pragma once
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "../format_info.h"
#include "../tier.h"
#include "../unpack.h"
#include "tested_tiers.h"

namespace bitwright {
namespace {

std::mt19937 generator(7);
[[maybe_unused]] int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator); }

// Any table within the formats' ranges will do here: the Python tests check the real ones.
[[maybe_unused]] void fill_codebooks() {
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

// Scales are exactly 1 (or about 1/100 with `random`); `fill` chooses the rest.
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

struct Case {
  std::string name;
  FormatId format;
  int64_t rows, columns;
  std::vector<uint8_t> file;
  std::vector<float> x;                 // (tokens, columns)
  std::vector<double> want, magnitude;  // (tokens, rows): the sums of the products and of their magnitudes
  double unit = 0;                      // 0: not exact; otherwise every product is a multiple of it
  int64_t tokens = 13;
};

// Inputs for which every product is exact: integers with a 127 in every 32, which int8 holds; 127 everywhere; or, in the
// groups with the largest scales (the first among equals), remainders in 256ths, one of them 127. `scattered`: which
// groups these are depends on the token; they have the scale 2.
enum class Values { small, large, remainders, scattered };

constexpr int kFineGroups[6][2] = {{0, 1}, {17, 30}, {3, 19}, {31, 31}, {17, 18}, {32, 32}};  // 32: none

[[maybe_unused]] bool is_fine(Values values, size_t token, size_t group) {
  const auto& groups = kFineGroups[token % 6];
  const int within = int(group % 32);
  return values == Values::remainders ? within < 2
                                      : values == Values::scattered && (within == groups[0] || within == groups[1]);
}

[[maybe_unused]] void fill_inputs(Case& c, Values values) {
  c.x.resize(size_t(c.tokens * c.columns));
  for (size_t i = 0; i < c.x.size(); ++i) {
    const size_t column = i % size_t(c.columns);
    const bool top = column % 32 == 5 || values == Values::large;
    c.x[i] = float(top ? (pick(0, 1) ? 127 : -127) : pick(-20, 20));
    if (!is_fine(values, i / size_t(c.columns), column / 32)) continue;
    if (!top) c.x[i] += float(column % 32 == 9 ? 127 : pick(-127, 127)) / 256;
    if (values == Values::scattered) c.x[i] *= 2;
  }
}

// The expected sums, from the dequantized weights.
[[maybe_unused]] void fill_sums(Case& c) {
  std::vector<float> w(size_t(c.rows * c.columns));
  tested_tiers().front()->dequantize(c.format, c.file.data(), c.rows * c.columns, w.data());
  c.want.assign(size_t(c.tokens * c.rows), 0.0);
  c.magnitude = c.want;
  for (int64_t t = 0; t < c.tokens; ++t) {
    for (int64_t r = 0; r < c.rows; ++r) {
      for (int64_t i = 0; i < c.columns; ++i) {
        const double product = double(w[size_t(r * c.columns + i)]) * double(c.x[size_t(t * c.columns + i)]);
        c.want[size_t(t * c.rows + r)] += product;
        c.magnitude[size_t(t * c.rows + r)] += std::fabs(product);
      }
    }
  }
}

[[maybe_unused]] std::vector<Case> cases() {
  std::vector<Case> all;
  for (const FormatInfo& info : formats()) {
    auto add = [&](const char* what, int64_t rows, int64_t columns, Fill fill, Values values, int64_t tokens = 13) {
      Case c{"format " + std::to_string(int(info.id)) + " " + what, info.id, rows, columns, {}, {}, {}, {}, 0, tokens};
      c.file.resize(size_t(rows * row_bytes(info.id, columns)));
      const bool block = with_block_format(info.id, [&]<class F>() {
        for (size_t at = 0; at < c.file.size(); at += sizeof(typename F::Block)) {
          typename F::Block b;
          fill_block<F>(b, fill);
          std::memcpy(&c.file[at], &b, sizeof b);
        }
        if (fill != Fill::random) c.unit = values >= Values::remainders ? F::factor / 256 : F::factor;
      });
      if (!block) {  // bytes with an exponent near zero, so that no float is infinite or NaN
        const bool wide = info.id == FormatId::f16 || info.id == FormatId::bf16 || info.id == FormatId::f32;
        for (size_t b = 0; b < c.file.size(); ++b)
          c.file[b] =
              uint8_t(wide && b % size_t(info.block_bytes) == size_t(info.block_bytes) - 1 ? 0x3c | pick(0, 1) << 7
                                                                                           : pick(0, 0x77));
      }
      fill_inputs(c, values);
      fill_sums(c);
      all.push_back(std::move(c));
    };
    const int64_t n = info.integer ? info.block_columns : info.block_columns == 1 ? 7 : 4;
    add("one block", 1, n, Fill::exact, Values::small);
    add("exact", 7, 256 / n * n, Fill::exact, Values::small);
    add("exact", 33, n * (n < 256 ? 9 : 1), Fill::exact, Values::small);
    add("remainders", 7, 256 / n * n, Fill::exact, Values::remainders);
    add("remainders", 3, (1024 / n + 1) * n, Fill::exact, Values::remainders);
    add("long", 19, (1024 / n + 1) * n, Fill::random, Values::small);
    if (info.integer) add("scattered", 7, 576 / n * n, Fill::exact, Values::scattered);
    if (info.integer) add("scattered", 7, (1024 / n + 1) * n, Fill::exact, Values::scattered);
    if (info.integer) add("long, scattered", 5, (1536 / n + 1) * n, Fill::random, Values::scattered);
    if (info.id == FormatId::q4_k || info.id == FormatId::q6_k)  // more than a block of tokens
      add("many tokens", 3, 768, Fill::random, Values::scattered, 260);
    add("zeros", 5, 2 * n, Fill::zeros, Values::large);
    add("ones", 5, n, Fill::ones, Values::large);
    add("large", 37, n, Fill::exact, Values::large);
  }
  return all;
}

}  // namespace
}  // namespace bitwright
