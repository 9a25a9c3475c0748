// The tiers that a test runs: those of this machine, and the emulated ones.
#pragma once
#include <vector>

#include "../tier.h"

namespace bitwright {
#ifdef BITWRIGHT_EMULATE_VNNI
extern const Tier tier_avx_vnni, tier_avx512_vnni, tier_avx512_bf16;
#endif

namespace {

[[maybe_unused]] std::vector<const Tier*> tested_tiers() {
  int count;
  const Tier* const* found = tiers(&count);
  std::vector<const Tier*> tested(found, found + count);
#ifdef BITWRIGHT_EMULATE_VNNI
  tested.insert(tested.end(), {&tier_avx_vnni, &tier_avx512_vnni, &tier_avx512_bf16});
#endif
  return tested;
}

}  // namespace
}  // namespace bitwright
