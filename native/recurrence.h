// The arguments of ops that keep a state of fixed size for each sequence. Plain data: the tiers include this.
//
// State of a convolution: the last taps - 1 inputs, oldest first (taps - 1, channels).
// State of a delta rule, or of a scan: for each head a matrix (key_dim, padded(value_dim)).
#pragma once
#include <cstdint>

#include "attention.h"

namespace bitwright {

constexpr int64_t kMaxTaps = 16;       // of a convolution
constexpr int64_t kColumnGrain = 256;  // channels of a convolution that a thread takes at a time
constexpr int64_t kDeltaTokens = 24;   // whose updates reach a delta rule's state together: whole blocks of products

// The tokens of one sequence in a batch, in order: rows order[first] to order[first + count - 1].
struct StateRun { int64_t slot, first, count; };

// y[t, c] = bias[c] + sum_k weight[k, c] x[t - (taps - 1) + k, c], then SiLU if asked for.
struct ConvolutionArgs {
  const float* x;  // (tokens, channels)
  float* y;
  const float* weight;  // (taps, channels)
  const float* bias;    // (channels); nullptr: none
  int64_t channels, taps;
  bool silu;
};

// The gated delta rule of ops/delta_rule.py or, with `skips`, the scan of ops/scan.py. Values of head h are steered by the
// keys of head h % key_heads if `tiled`, else h / (heads / key_heads).
struct DeltaArgs {
  const float *queries, *keys;  // of the first token (key_heads * key_dim); those of the next lie `stride` further on
  const float* values;          // likewise (heads * value_dim)
  const float* decays;          // (tokens, heads), logarithms
  const float* shares;          // (tokens, heads): of a scan the steps, of a delta rule the betas before their sigmoid
  const float* skips;           // (heads), of a scan; nullptr: a delta rule
  float* y;                     // (tokens, heads * value_dim)
  int64_t stride, key_heads, key_dim, heads, value_dim;
  bool tiled;
  float eps;
};

// Floats of scratch that a head needs: keys and queries; keys by column; their products with keys, and with the state;
// decays; one token's values and results.
static constexpr int64_t delta_scratch(int64_t key_dim, int64_t value_dim) {
  return kDeltaTokens * 2 * (key_dim + padded(kDeltaTokens) + padded(value_dim)) + key_dim * padded(kDeltaTokens) +
         padded(kDeltaTokens) + 2 * padded(value_dim);
}

}  // namespace bitwright
