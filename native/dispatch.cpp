// Which tiers were built (CMake defines BITWRIGHT_HAS_*), which of them this machine can run, and which one is used.
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "platform.h"
#include "tier.h"

namespace bitwright {

extern const Tier tier_scalar, tier_avx2, tier_avx_vnni, tier_avx512_vnni, tier_avx512_bf16, tier_neon_dotprod,
    tier_neon_i8mm;

namespace {

std::vector<const Tier*> detect() {
  const Tier* const built[] = {
#ifdef BITWRIGHT_HAS_scalar
      &tier_scalar,
#endif
#ifdef BITWRIGHT_HAS_avx2
      &tier_avx2,
#endif
#ifdef BITWRIGHT_HAS_avx_vnni
      &tier_avx_vnni,
#endif
#ifdef BITWRIGHT_HAS_avx512_vnni
      &tier_avx512_vnni,
#endif
#ifdef BITWRIGHT_HAS_avx512_bf16
      &tier_avx512_bf16,
#endif
#ifdef BITWRIGHT_HAS_neon_dotprod
      &tier_neon_dotprod,
#endif
#ifdef BITWRIGHT_HAS_neon_i8mm
      &tier_neon_i8mm,
#endif
  };
  std::vector<const Tier*> found;
  for (const Tier* t : built)
    if ((t->features & ~platform::features()) == 0) found.push_back(t);
  return found;
}

const std::vector<const Tier*>& available() {
  static const std::vector<const Tier*> found = detect();
  return found;
}

}  // namespace

const Tier* const* tiers(int* count) {
  *count = int(available().size());
  return available().data();
}

const Tier& tier() {
  const char* forced = std::getenv("BITWRIGHT_TIER");
  return tier_named(forced && *forced ? forced : nullptr);
}

const Tier& tier_named(const char* name) {
  if (!name) return *available().back();
  std::string names;
  for (const Tier* t : available()) {
    if (t->name == std::string(name)) return *t;
    names += (names.empty() ? "" : ", ") + std::string(t->name);
  }
  throw std::invalid_argument("tier " + std::string(name) + " cannot run on this machine; these can: " + names);
}

}  // namespace bitwright
