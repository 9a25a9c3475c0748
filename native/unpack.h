// Every block format, selected by its id.
#pragma once
#include "formats_integer.h"
#include "formats_table.h"

namespace bitwright {
namespace {

// Calls f.template operator()<F>() with the struct of one block format after another, until a call returns true.
template <class Fn> bool any_block_format(Fn&& f) {
  auto any = [&]<class... Fs>() { return (f.template operator()<Fs>() || ...); };
  return any
      .template operator()<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K, IQ4_NL, IQ4_XS, MXFP4,
                           NVFP4, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ1_S, IQ1_M, TQ1_0, TQ2_0, Q1_0, Q2_0>();
}

// Calls it with the struct of the format `id`; false when that is not a block format.
template <class Fn> bool with_block_format(FormatId id, Fn&& f) {
  return any_block_format([&]<class F>() { return id == F::id && (f.template operator()<F>(), true); });
}

}  // namespace
}  // namespace bitwright
