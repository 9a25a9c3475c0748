#include "platform.h"

#include <algorithm>
#include <bit>
#include <thread>

#ifdef _WIN32
#define NOMINMAX
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace bitwright::platform {

#if defined(__x86_64__)
Features features() {
  Features found;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return found;
  const bool fma = c >> 12 & 1, f16c = c >> 29 & 1, osxsave = c >> 27 & 1;
  if (!osxsave) return found;
  unsigned saved, high;  // which registers the operating system saves on a context switch
  __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
  found.avx2 = (saved & 6) == 6 && fma && f16c && (b >> 5 & 1);
  const bool f = b >> 16 & 1, dq = b >> 17 & 1, bw = b >> 30 & 1, vl = b >> 31 & 1, vnni = c >> 11 & 1;
  found.avx512_vnni = found.avx2 && (saved & 0xe6) == 0xe6 && f && dq && bw && vl && vnni;
  return found;
}
#elif defined(__aarch64__) && defined(__linux__)
Features features() {  // bits of the kernel's hwcap words: asm/hwcap.h
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  const bool half = first >> 10 & 1, dotprod = first >> 20 & 1, i8mm = second >> 13 & 1;
  return {.neon_dotprod = half && dotprod, .neon_i8mm = half && dotprod && i8mm};
}
#elif defined(__aarch64__) && defined(__APPLE__)
Features features() {  // developer.apple.com/documentation/kernel/1387446-sysctlbyname
  const auto has = [](const char* name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  };
  const bool dotprod = has("hw.optional.arm.FEAT_DotProd") && has("hw.optional.arm.FEAT_FP16");
  return {.neon_dotprod = dotprod, .neon_i8mm = dotprod && has("hw.optional.arm.FEAT_I8MM")};
}
#else
Features features() { return {}; }  // Windows on Arm reports no float16 arithmetic: the scalar tier runs there
#endif

#ifdef _WIN32
int usable_cores() {  // of the process's own processor group, which holds up to 64
  DWORD_PTR own = 0, all = 0;
  const bool known = GetProcessAffinityMask(GetCurrentProcess(), &own, &all) && own;
  return known ? std::popcount(uint64_t{own}) : std::max(1, int(std::thread::hardware_concurrency()));
}

uint64_t process_id() { return GetCurrentProcessId(); }

void* map_pages(size_t bytes) { return VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }

void unmap_pages(void* pages, size_t) { VirtualFree(pages, 0, MEM_RELEASE); }

void discard_pages(void* at, size_t bytes) { VirtualAlloc(at, bytes, MEM_RESET, PAGE_READWRITE); }
#else
int usable_cores() {
#ifdef __linux__
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores);
#endif
  return std::max(1, int(std::thread::hardware_concurrency()));
}

uint64_t process_id() { return static_cast<uint64_t>(getpid()); }

void* map_pages(size_t bytes) {
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
  madvise(pages, bytes, MADV_HUGEPAGE);  // a refusal costs speed only
#endif
  return pages;
}

void unmap_pages(void* pages, size_t bytes) { munmap(pages, bytes); }

void discard_pages(void* at, size_t bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)), begin = reinterpret_cast<uintptr_t>(at);
  const uintptr_t first = (begin + page - 1) / page * page, last = (begin + bytes) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}
#endif

}  // namespace bitwright::platform
