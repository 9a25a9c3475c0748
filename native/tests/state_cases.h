// Random cases of the ops that keep a state, for attention_test: a text read in calls of several sizes, whose tokens lie
// anywhere in the batch, against sums in double.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <random>
#include <vector>

#include "../recurrence.h"
#include "../tier.h"

namespace bitwright {
namespace {

constexpr int64_t kTokens = 2 * kDeltaTokens + 5, kCalls[] = {1, kDeltaTokens + 3, kDeltaTokens + 1};  // kTokens in all
constexpr double kUnit = 0x1p-24;

struct HeadsShape {
  int64_t key_heads, key_dim, heads, value_dim;
  bool tiled, scans;
};
constexpr HeadsShape kHeads[] = {
    {1, 3, 1, 1, true, false}, {2, 12, 4, 20, true, false}, {2, 16, 4, 32, false, false}, {1, 70, 3, 65, true, false},
    {1, 3, 1, 1, false, true}, {2, 12, 4, 20, false, true}, {1, 70, 3, 65, false, true},
};
struct ChannelsShape {
  int64_t channels, taps;
  bool bias, silu;
};
constexpr ChannelsShape kChannels[] = {
    {1, 2, false, false}, {33, 4, false, true}, {70, 4, true, true}, {19, 16, true, false}};

std::mt19937 drawing(5);

std::vector<float> drawn(int64_t count, float low, float high) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& x : values) x = std::uniform_real_distribution<float>(low, high)(drawing);
  return values;
}

struct Sums { std::vector<double> y, bound; };

// Token by token. A rounding moves a sum by at most its unit of the same sum with all terms positive, which later tokens
// then carry on as they do the sum: so `roundings` of each token, times the tokens.
Sums follow(const DeltaArgs& a, const std::vector<int32_t>& rows) {
  const double roundings = 2 * double(a.key_dim + kDeltaTokens) + 40;  // of products, decays and normalization; of exp
  Sums found{std::vector<double>(size_t(kTokens * a.heads * a.value_dim)), {}};
  found.bound = found.y;
  for (int64_t head = 0; head < a.heads; ++head) {
    const int64_t own = a.tiled ? head % a.key_heads : head / (a.heads / a.key_heads);
    std::vector<double> state(size_t(a.key_dim * a.value_dim)), most = state;
    for (int64_t t = 0; t < kTokens; ++t) {
      const int64_t row = rows[size_t(t)];
      const float *k = a.keys + row * a.stride + own * a.key_dim, *q = a.queries + row * a.stride + own * a.key_dim;
      const auto length = [&](const float* x) {
        return a.skips ? 1 : std::sqrt(std::inner_product(x, x + a.key_dim, x, double(a.eps)));
      };
      const double of_k = length(k), of_q = length(q) * (a.skips ? 1 : std::sqrt(double(a.key_dim)));
      const double given = a.shares[row * a.heads + head], share = a.skips ? given : 1 / (1 + std::exp(-given));
      const double kept = std::exp(double(a.decays[row * a.heads + head])), skip = a.skips ? a.skips[head] : 0;
      for (int64_t c = 0; c < a.value_dim; ++c) {
        const double v = a.values[row * a.stride + head * a.value_dim + c];
        double known = 0, known_most = 0, y = skip * v, y_most = std::fabs(y);
        for (int64_t i = 0; i < a.key_dim; ++i) {
          const size_t at = size_t(i * a.value_dim + c);
          known += k[i] / of_k * (state[at] *= kept);
          known_most += std::fabs(k[i] / of_k) * (most[at] *= kept);
        }
        const double change = share * (v - (a.skips ? 0 : known));
        const double change_most = std::fabs(share) * (std::fabs(v) + (a.skips ? 0 : known_most));
        for (int64_t i = 0; i < a.key_dim; ++i) {
          const size_t at = size_t(i * a.value_dim + c);
          y += q[i] / of_q * (state[at] += k[i] / of_k * change);
          y_most += std::fabs(q[i] / of_q) * (most[at] += std::fabs(k[i] / of_k) * change_most);
        }
        const size_t cell = size_t((row * a.heads + head) * a.value_dim + c);
        found.y[cell] = y, found.bound[cell] = kUnit * roundings * double(t + 1) * y_most;
      }
    }
  }
  return found;
}

Sums follow(const ConvolutionArgs& a, const std::vector<int32_t>& rows) {
  Sums found{std::vector<double>(size_t(kTokens * a.channels)), {}};
  found.bound = found.y;
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t c = 0; c < a.channels; ++c) {
      double sum = a.bias ? a.bias[c] : 0, most = std::fabs(sum);
      for (int64_t k = std::max<int64_t>(a.taps - 1 - t, 0); k < a.taps; ++k) {
        const double term =
            double(a.weight[k * a.channels + c]) * a.x[rows[size_t(t - a.taps + 1 + k)] * a.channels + c];
        sum += term, most += std::fabs(term);
      }
      const size_t cell = size_t(rows[size_t(t)] * a.channels + c);
      // a rounding of each term, which SiLU's slope below 1.1 carries on; its exp is off by 12 and by the sum's
      found.y[cell] = a.silu ? sum / (1 + std::exp(-sum)) : sum;
      found.bound[cell] =
          kUnit * (1.1 * double(a.taps) * most + (a.silu ? 12 * (1 + most) * std::fabs(found.y[cell]) : 0));
    }
  }
  return found;
}

// The worst error in units of its bound; infinite, with a line that says where, if one is larger.
double compare(const Tier& tier, const char* op, int64_t width, const std::vector<float>& y, const Sums& sums) {
  double worst = 0;
  for (size_t i = 0; i < sums.y.size(); ++i) {
    const double error = std::fabs(y[i] - sums.y[i]);
    if (!(error <= sums.bound[i]) || y.back() != -7.0f) {
      std::printf("FAILED %s %s of width %lld, cell %zu: expected %.9g, got %.9g, bound %.3g\n", tier.name, op,
                  (long long)width, i, sums.y[i], double(y[i]), sums.bound[i]);
      return HUGE_VAL;
    }
    worst = std::max(worst, error > 0 ? error / sums.bound[i] : 0);
  }
  return worst;
}

// Calls `work` with the rows of each call and their count.
template <typename Work> void in_calls(const std::vector<int32_t>& rows, Work work) {
  const int32_t* at = rows.data();
  for (const int64_t count : kCalls) work(at, count), at += count;
}

// As `compare`, of all cases; adds the values to `cells`. Their numbers follow from a seed, so tiers see the same ones.
double check_states(const Tier& tier, int64_t& cells) {
  drawing.seed(5);
  std::vector<int32_t> rows(kTokens);
  std::iota(rows.begin(), rows.end(), 0);
  std::shuffle(rows.begin(), rows.end(), drawing);
  double worst = 0;
  for (const HeadsShape& s : kHeads) {
    const int64_t keys = s.key_heads * s.key_dim, width = s.heads * s.value_dim, stride = 2 * keys + width;
    const std::vector<float> x = drawn(kTokens * stride, -1, 1), decays = drawn(kTokens * s.heads, -1, -0.05f),
                             shares = drawn(kTokens * s.heads, s.scans ? 0 : -3, s.scans ? 2 : 0),
                             skips = drawn(s.heads, -2, 2);
    std::vector<float> y(size_t(kTokens * width + 1), -7.0f), state(size_t(s.heads * s.key_dim * padded(s.value_dim))),
        scratch(size_t(delta_scratch(s.key_dim, s.value_dim)), NAN);
    const DeltaArgs a{x.data(),
                      x.data() + keys,
                      x.data() + 2 * keys,
                      decays.data(),
                      shares.data(),
                      s.scans ? skips.data() : nullptr,
                      y.data(),
                      stride,
                      s.key_heads,
                      s.key_dim,
                      s.heads,
                      s.value_dim,
                      s.tiled,
                      1e-6f};
    in_calls(rows, [&](const int32_t* own, int64_t count) {
      for (int64_t head = 0; head < s.heads; ++head)
        tier.vector.delta_rule(a, own, count, state.data(), head, scratch.data());
    });
    worst = std::max(worst, compare(tier, s.scans ? "scan" : "delta rule", width, y, follow(a, rows)));
    cells += kTokens * width;
  }
  for (const ChannelsShape& s : kChannels) {
    const std::vector<float> x = drawn(kTokens * s.channels, -2, 2), weight = drawn(s.taps * s.channels, -1, 1),
                             bias = drawn(s.channels, -1, 1);
    std::vector<float> y(size_t(kTokens * s.channels + 1), -7.0f), state(size_t((s.taps - 1) * s.channels));
    const ConvolutionArgs a{x.data(),   y.data(), weight.data(), s.bias ? bias.data() : nullptr,
                            s.channels, s.taps,   s.silu};
    const int64_t middle = s.channels / 2;  // as two threads would share them
    in_calls(rows, [&](const int32_t* own, int64_t count) {
      tier.vector.convolve(a, own, count, state.data(), 0, middle);
      tier.vector.convolve(a, own, count, state.data(), middle, s.channels);
    });
    worst = std::max(worst, compare(tier, "convolution", s.channels, y, follow(a, rows)));
    cells += kTokens * s.channels;
  }
  return worst;
}

}  // namespace
}  // namespace bitwright
