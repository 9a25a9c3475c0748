// Which tiers were built (CMake defines BITWRIGHT_HAS_*), which this machine can run, and which one is used.
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "tier.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace bitwright {

extern const Tier tier_scalar, tier_avx2, tier_avx512_vnni, tier_neon_dotprod, tier_neon_i8mm;

namespace {

#if defined(__x86_64__)
struct X86 {
  bool avx2 = false, avx512_vnni = false;

  X86() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    const bool fma = c >> 12 & 1, f16c = c >> 29 & 1, osxsave = c >> 27 & 1;
    if (!osxsave) return;
    unsigned low, high;  // what the operating system saves on a context switch
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    avx2 = (low & 6) == 6 && fma && f16c && (b >> 5 & 1);
    const bool f = b >> 16 & 1, dq = b >> 17 & 1, bw = b >> 30 & 1, vl = b >> 31 & 1, vnni = c >> 11 & 1;
    avx512_vnni = avx2 && (low & 0xe6) == 0xe6 && f && dq && bw && vl && vnni;
  }
};
#elif defined(__aarch64__)
struct Arm {  // bits of the Linux hwcap words (asm/hwcap.h)
  bool dotprod = getauxval(AT_HWCAP) >> 20 & 1, half = getauxval(AT_HWCAP) >> 10 & 1;
  bool i8mm = getauxval(AT_HWCAP2) >> 13 & 1;
};
#endif

std::vector<const Tier*> detect() {
  std::vector<const Tier*> found;
#ifdef BITWRIGHT_HAS_scalar
  found.push_back(&tier_scalar);
#endif
#if defined(__x86_64__)
  const X86 cpu;
#ifdef BITWRIGHT_HAS_avx2
  if (cpu.avx2) found.push_back(&tier_avx2);
#endif
#ifdef BITWRIGHT_HAS_avx512_vnni
  if (cpu.avx512_vnni) found.push_back(&tier_avx512_vnni);
#endif
#elif defined(__aarch64__)
  const Arm cpu;
#ifdef BITWRIGHT_HAS_neon_dotprod
  if (cpu.dotprod && cpu.half) found.push_back(&tier_neon_dotprod);
#endif
#ifdef BITWRIGHT_HAS_neon_i8mm
  if (cpu.dotprod && cpu.half && cpu.i8mm) found.push_back(&tier_neon_i8mm);
#endif
#endif
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
