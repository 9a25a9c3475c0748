#include "platform.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <mutex>
#include <thread>

#ifdef _WIN32
#define NOMINMAX
#include <windows.h>
#else
#include <signal.h>
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

namespace {

#if defined(__x86_64__)
uint32_t ask_features() {  // CPUID (Intel SDM, volume 2A), and XCR0: which registers the system saves
  using namespace feature;
  unsigned a = 0, b = 0, c = 0, d = 0;
  uint32_t found = 0;
  const auto add = [&found](unsigned word, int bit, uint32_t feature) { found |= word >> bit & 1 ? feature : 0; };
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;
  unsigned saved, high;
  __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  if ((saved & 6) != 6) return 0;
  add(c, 12, fma), add(c, 29, f16c);
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
  add(b, 5, avx2);
  const bool wide = (saved & 0xe6) == 0xe6;
  if (wide)
    add(b, 16, avx512_f), add(b, 17, avx512_dq), add(b, 30, avx512_bw), add(b, 31, avx512_vl), add(c, 11, avx512_vnni);
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return found;
  add(a, 4, avx_vnni);
  if (wide) add(a, 5, avx512_bf16);
  return found;
}
#elif defined(__aarch64__) && defined(__linux__)
uint32_t ask_features() {  // bits of the kernel's hwcap words (asm/hwcap.h)
  using namespace feature;
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  return (first >> 10 & 1 ? fp16 : 0) | (first >> 20 & 1 ? dotprod : 0) | (second >> 13 & 1 ? i8mm : 0) |
         (second >> 14 & 1 ? bf16 : 0);
}
#elif defined(__aarch64__) && defined(__APPLE__)
uint32_t ask_features() {  // developer.apple.com/documentation/kernel/1387446-sysctlbyname
  using namespace feature;
  const auto has = [](const char* name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  };
  return (has("hw.optional.arm.FEAT_FP16") ? fp16 : 0) | (has("hw.optional.arm.FEAT_DotProd") ? dotprod : 0) |
         (has("hw.optional.arm.FEAT_I8MM") ? i8mm : 0) | (has("hw.optional.arm.FEAT_BF16") ? bf16 : 0);
}
#else
uint32_t ask_features() { return 0; }  // Windows on Arm does not report float16 arithmetic: the scalar tier runs
#endif

}  // namespace

uint32_t features() {
  static const uint32_t found = ask_features();
  return found;
}

#ifdef _WIN32
int usable_cores() {  // cores of the process's processor group, which has at most 64
  DWORD_PTR own = 0, all = 0;
  const bool known = GetProcessAffinityMask(GetCurrentProcess(), &own, &all) && own;
  return known ? std::popcount(uint64_t{own}) : std::max(1, int(std::thread::hardware_concurrency()));
}

uint64_t process_id() { return GetCurrentProcessId(); }

void* map_pages(size_t bytes) { return VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }

void unmap_pages(void* pages, size_t) { VirtualFree(pages, 0, MEM_RELEASE); }

void discard_pages(void* at, size_t bytes) { VirtualAlloc(at, bytes, MEM_RESET, PAGE_READWRITE); }

int guard_mapping(const void*, size_t) { return -1; }
bool torn(int) { return false; }
void forget_mapping(int) {}
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
  madvise(pages, bytes, MADV_HUGEPAGE);  // a failure costs only speed
#endif
  return pages;
}

void unmap_pages(void* pages, size_t bytes) { munmap(pages, bytes); }

void discard_pages(void* at, size_t bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)), begin = reinterpret_cast<uintptr_t>(at);
  const uintptr_t first = (begin + page - 1) / page * page, last = (begin + bytes) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

namespace {

struct Mapping {
  std::atomic<uintptr_t> begin{0}, end{0};  // whole pages; 0: this place is free
  std::atomic<bool> torn{false};
};
constexpr int kMostMappings = 1024;
Mapping mappings[kMostMappings];
uintptr_t page_bytes = 0;
struct sigaction otherwise;  // what SIGBUS did before

// Runs inside a signal: it only reads atomics and makes system calls. A file that ends before a page ends before all that
// follow, so zeros take the place of the rest of the mapping at once.
void on_bus_error(int, siginfo_t* info, void*) {
  const int error = errno;
  const auto at = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Mapping& m : mappings) {
    const uintptr_t begin = m.begin.load(), end = m.end.load(), page = at / page_bytes * page_bytes;
    if (at < begin || at >= end) continue;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    if (mmap(reinterpret_cast<void*>(page), end - page, PROT_READ, flags, -1, 0) == MAP_FAILED) break;
    m.torn.store(true);
    errno = error;
    return;
  }
  sigaction(SIGBUS, &otherwise, nullptr);  // the read is tried again, and ends as it would have
}

}  // namespace

int guard_mapping(const void* at, size_t bytes) {
  static std::mutex mutex;
  static bool installed = false;
  const std::lock_guard lock(mutex);
  if (!installed) {
    page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    struct sigaction action = {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, &otherwise) != 0) return -1;
    installed = true;
  }
  const auto begin = reinterpret_cast<uintptr_t>(at) / page_bytes * page_bytes;
  const auto end = (reinterpret_cast<uintptr_t>(at) + bytes + page_bytes - 1) / page_bytes * page_bytes;
  for (int i = 0; i < kMostMappings; ++i) {
    if (mappings[i].end.load() != 0) continue;
    mappings[i].torn.store(false);
    mappings[i].begin.store(begin);
    mappings[i].end.store(end);
    return i;
  }
  return -1;
}

bool torn(int mapping) { return mappings[mapping].torn.load(); }

void forget_mapping(int mapping) { mappings[mapping].end.store(0); }
#endif

}  // namespace bitwright::platform
