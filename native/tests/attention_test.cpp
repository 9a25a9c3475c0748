// Tests attention in every tier of this build, with random caches of every format, against sums in double that read the
// cache by the layout in attention.h. The result must be the same to the bit however a tile's work is divided. Then tests
// the ops that keep a state (state_cases.h). Prints one line per tier. On failure it also prints the worst cell and returns
// 1. Needs no Python, so it runs under an emulator.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "../attention.h"
#include "../fp.h"
#include "state_cases.h"
#include "tested_tiers.h"

using namespace bitwright;

namespace {

constexpr FormatId kFormats[] = {FormatId::f16, FormatId::bf16, FormatId::q8_0, FormatId::q4_0};
constexpr const char* kNames[] = {"f16", "bf16", "q8_0", "q4_0"};
constexpr double kRounding = 0x1p-24;

std::mt19937 generator(11);
int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator); }
int sign() { return pick(0, 1) << 15; }

struct Shape {
  int64_t heads, kv_heads, head_dim, window, positions;
  float softcap;
  std::vector<AttentionTile> tiles;  // token, count, slot, position
  std::vector<float> sinks;          // one for each head, or none
  int64_t latent = 0;
};

const Shape kShapes[] = {
    {1, 1, 1, 0, 16, 0, {{0, 1, 0, 0}}, {}},
    {3, 1, 64, 0, 592, 0, {{0, 1, 0, 590}, {1, 1, 1, 256}, {2, 1, 0, 255}}, {}},
    {7, 1, 40, 0, 80, 0, {{0, 1, 1, 70}}, {}},
    {6, 2, 16, 0, 320, 20, {{0, 2, 0, 300}, {2, 2, 1, 63}}, {-200, -1, 0, 1, 2, 30}},
    {2, 1, 33, 50, 128, 0, {{0, 3, 0, 500}, {3, 1, 1, 20}}, {0.5, 4}},
    {4, 4, 20, 300, 384, 0, {{0, 1, 1, 10007}}, {}},
    {1, 1, 256, 1, 64, 5, {{0, 4, 0, 62}}, {}},
    {24, 1, 80, 0, 96, 0, {{0, 4, 1, 61}}, {}},  // more rows than one conversion is worth
    {16, 1, 72, 0, 592, 0, {{0, 1, 0, 590}, {1, 3, 1, 62}}, {}, 56},
    {3, 1, 40, 70, 160, 0, {{0, 2, 1, 130}}, {0.5, 1, 4}, 20},
};

// Random pages of one layer, assigned to two sequences in a shuffled order.
struct Pages {
  Cache cache;
  std::vector<uint8_t> bytes;
  std::vector<std::vector<int32_t>> tables;
  std::vector<const int32_t*> views;

  Pages(FormatId f, const Shape& s)
      : cache{f, s.kv_heads, s.head_dim, s.latent, s.window, s.positions, nullptr, 0, 0, 0, 0, 0, nullptr} {
    const int64_t places = s.kv_heads * kKeyBlock, scales = 2 * places * cache_scales(f, s.head_dim);
    cache.values = places / kKeyGroup * key_rows(f, s.head_dim) * cache_row_bytes(f);
    cache.key_scales = cache.values + (s.latent ? 0 : places * value_rows(f, s.head_dim) * cache_row_bytes(f));
    cache.value_scales = cache.key_scales + scales;
    cache.page_bytes = cache.value_scales + (s.latent ? 0 : scales);
    int64_t longest = 0;
    for (const AttentionTile& t : s.tiles) longest = std::max(longest, t.position + t.count);
    std::vector<int32_t> order(size_t(2 * divided_up(longest, kKeyBlock)));
    for (size_t i = 0; i < order.size(); ++i) order[i] = int32_t(i);
    std::shuffle(order.begin(), order.end(), generator);
    const auto half = order.begin() + std::ptrdiff_t(order.size() / 2);
    tables = {{order.begin(), half}, {half, order.end()}};
    views = {tables[0].data(), tables[1].data()};
    bytes.resize(order.size() * size_t(cache.page_bytes));
    for (size_t i = 0; i < bytes.size(); i += 2) put(i, element(f, int64_t(i) % cache.page_bytes));
    cache.pages = bytes.data();
    cache.tables = views.data();
  }
  void put(size_t i, int value) { bytes[i] = uint8_t(value), bytes[i + 1] = uint8_t(value >> 8); }
  int element(FormatId f, int64_t at) const {
    if (at >= cache.key_scales) return (f == FormatId::q8_0 ? pick(0x1c00, 0x2000) : pick(0x2c00, 0x3000)) | sign();
    if (f == FormatId::f16) return pick(0x3000, 0x3bff) | sign();
    return f == FormatId::bf16 ? pick(0x3e00, 0x3f7f) | sign() : pick(0, 0xffff);
  }

  double element(const uint8_t* row, int64_t lane, int64_t dim) const {  // before scaling
    const auto bits = [&] { return half_t(row[2 * lane] | row[2 * lane + 1] << 8); };
    switch (cache.format) {
      case FormatId::f16: return half_to_float(bits());
      case FormatId::bf16: return bf16_to_float(bits());
      case FormatId::q8_0: return int8_t(row[lane]);
      default: return int8_t(dim % 32 < 16 ? row[lane] << 4 : row[lane] & 0xf0) / 16;
    }
  }
  const uint8_t* page(int64_t slot, int64_t position) const {
    return cache.pages + tables[size_t(slot)][size_t(position / kKeyBlock)] * cache.page_bytes;
  }
  double scale(const uint8_t* scales, int64_t head, int64_t place, int64_t dim) const {
    const int64_t blocks = cache_scales(cache.format, cache.head_dim);
    half_t bits;
    std::memcpy(&bits, scales + ((head * blocks + dim / 32) * kKeyBlock + place) * 2, blocks ? 2 : 0);
    return blocks ? half_to_float(bits) : 1;
  }
  double key(int64_t slot, int64_t head, int64_t position, int64_t d) const {
    const int64_t place = position % kKeyBlock, row = cache.format == FormatId::q4_0 ? d / 32 * 16 + d % 16 : d;
    const int64_t at = (head * kKeyBlock + place) / 16 * key_rows(cache.format, cache.head_dim) + row;
    return element(page(slot, position) + at * cache_row_bytes(cache.format), place % 16, d) *
           scale(page(slot, position) + cache.key_scales, head, place, d);
  }
  double value(int64_t slot, int64_t head, int64_t position, int64_t d) const {
    if (cache.latent) return key(slot, head, position, d);
    const int64_t place = position % kKeyBlock, row = d / (cache.format == FormatId::q4_0 ? 32 : 16);
    const int64_t at = (head * kKeyBlock + place) * value_rows(cache.format, cache.head_dim) + row;
    return element(page(slot, position) + cache.values + at * cache_row_bytes(cache.format), d % 16, d) *
           scale(page(slot, position) + cache.value_scales, head, place, d);
  }
};

struct Expected {
  std::vector<double> y;
  double bound;
};

// Computed in double; the bound is that of tests/kernels/test_attention.py.
Expected attend(const Pages& m, const Shape& s, const std::vector<float>& q, float scale) {
  const int64_t width = value_dim(m.cache);
  Expected e{std::vector<double>(q.size() / size_t(s.head_dim) * size_t(width)), 0};
  double most_products = 0, most_value = 0, most_seen = 0;
  for (const AttentionTile& t : s.tiles) {
    for (int64_t i = 0; i < t.count * s.heads; ++i) {
      const int64_t own = t.position + i / s.heads, head = i % s.heads / (s.heads / s.kv_heads),
                    place = t.token * s.heads + i, at = place * s.head_dim;
      const int64_t oldest = s.window ? std::max<int64_t>(own - s.window + 1, 0) : 0;
      std::vector<double> scores;
      for (int64_t p = oldest; p <= own; ++p) {
        double score = 0, products = 0;
        for (int64_t d = 0; d < s.head_dim; ++d) {
          const double product = double(q[size_t(at + d)]) * m.key(t.slot, head, p, d);
          score += product, products += std::fabs(product);
        }
        score *= scale;
        scores.push_back(s.softcap ? s.softcap * std::tanh(score / s.softcap) : score);
        most_products = std::max(most_products, products);
      }
      if (!s.sinks.empty()) scores.push_back(s.sinks[size_t(i % s.heads)]);
      const double most = *std::max_element(scores.begin(), scores.end());
      double total = 0;
      for (double& score : scores) total += score = std::exp(score - most);
      for (int64_t d = 0; d < width; ++d)
        for (int64_t p = oldest; p <= own; ++p) {
          const double value = m.value(t.slot, head, p, d);
          e.y[size_t(place * width + d)] += scores[size_t(p - oldest)] / total * value;
          most_value = std::max(most_value, std::fabs(value));
        }
      most_seen = std::max(most_seen, double(scores.size()));
    }
  }
  const double score = (double(s.head_dim) / 2 + 7) * kRounding * most_products * scale;
  e.bound = (2 * score + (2 * std::sqrt(most_seen) + 43) * kRounding) * most_value;
  return e;
}

// Ways to divide the work: one item for a tile and head, or one for each of its ranges, from the last or the first.
enum class Order { whole, ranges, ranges_backwards };

std::vector<float> run(const Tier& tier, const Pages& m, const Shape& s, const std::vector<float>& q, float scale,
                       Order order) {
  std::vector<float> y(q.size() / size_t(s.head_dim) * size_t(value_dim(m.cache)) + 1, -7.0f);
  int64_t rows = 0, split = 1;
  for (const AttentionTile& t : s.tiles) {
    rows = std::max(rows, t.count * s.heads);
    if (order != Order::whole) split = std::max(split, ranges(m.cache, t));
  }
  std::vector<float> scratch(size_t(attention_scratch(rows, s.head_dim)), NAN),
      partials(size_t(softmax_floats(split * 4 * s.heads, s.head_dim)), NAN);
  std::vector<int32_t> finished(s.tiles.size() * size_t(s.kv_heads));
  const float* sinks = s.sinks.empty() ? nullptr : s.sinks.data();
  const AttentionArgs args{q.data(),  y.data(), m.cache, s.tiles.data(),  s.heads,        scale,
                           s.softcap, sinks,    split,   partials.data(), finished.data()};
  const int64_t items = int64_t(finished.size()) * split;
  for (int64_t i = 0; i < items; ++i) {
    const int64_t item = order == Order::ranges_backwards ? items - 1 - i : i;
    tier.vector.attention(args, item, item + 1, scratch.data());
  }
  if (y.back() != -7.0f || std::any_of(finished.begin(), finished.end(), [](int32_t n) { return n != 0; })) y.clear();
  return y;
}

struct Worst {
  const Tier& tier;
  double ratio = 0;
  int64_t cells = 0;
  bool failed = false;
};

// Runs one tier on a case and notes its worst error; on failure prints where.
void test(Worst& worst, const Pages& m, const Shape& s, const std::vector<float>& q, float scale, const char* format,
          const Expected& expected) {
  const char* tier = worst.tier.name;
  const std::vector<float> y = run(worst.tier, m, s, q, scale, Order::whole);
  for (const Order order : {Order::ranges, Order::ranges_backwards}) {
    if (!y.empty() && run(worst.tier, m, s, q, scale, order) == y) continue;
    std::printf("FAILED %s %s: heads %lld of %lld dims, separate ranges differ from a single one\n", tier, format,
                (long long)s.heads, (long long)s.head_dim);
    worst.failed = true;
    return;
  }
  for (size_t i = 0; i < expected.y.size(); ++i, ++worst.cells) {
    const double error = std::fabs(y[i] - expected.y[i]);
    if (error <= expected.bound) {
      worst.ratio = std::max(worst.ratio, error > 0 ? error / expected.bound : 0);
      continue;
    }
    std::printf("FAILED %s %s: heads %lld of %lld dims, cell %zu: expected %.9g, got %.9g, bound %.3g\n", tier, format,
                (long long)s.heads, (long long)s.head_dim, i, expected.y[i], double(y[i]), expected.bound);
    worst.failed = true;
    return;
  }
}

}  // namespace

int main() {
  std::vector<Worst> all;
  for (const Tier* tier : tested_tiers()) all.push_back({*tier});
  for (const Shape& s : kShapes) {
    for (size_t f = 0; f < 4; ++f) {
      const Pages m(kFormats[f], s);
      int64_t tokens = 0;
      for (const AttentionTile& t : s.tiles) tokens += t.count;
      std::vector<float> q(size_t(tokens * s.heads * s.head_dim));
      for (float& x : q) x = float(pick(-1000, 1000)) / 500;
      const float scale = 2 / std::sqrt(float(s.head_dim));
      const Expected expected = attend(m, s, q, scale);
      for (Worst& worst : all) test(worst, m, s, q, scale, kNames[f], expected);
    }
  }
  bool failed = false;
  for (Worst& worst : all) {
    worst.ratio = std::max(worst.ratio, check_states(worst.tier, worst.cells));
    worst.failed = worst.failed || worst.ratio > 1;
    std::printf("%s: %lld values, worst error %.3g of its bound\n", worst.tier.name, (long long)worst.cells,
                worst.ratio);
    failed = failed || worst.failed;
  }
  return failed;
}
