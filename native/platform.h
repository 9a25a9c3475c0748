// What native code asks of the operating system, in one place: the processor's features, usable cores, memory pages, the process.
// Linux (glibc or musl), macOS and Windows, by GCC or Clang; the kernels' vector extension rules out MSVC.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu.h"

namespace bitwright::platform {

// What both the processor and the operating system support, as bits of cpu.h; nothing where the system offers no way to ask.
uint32_t features();

int usable_cores();     // those this process may run on, at least 1
uint64_t process_id();  // a child of fork() has another

// `bytes` (above 0) of zeroed memory, taken page by page as it is touched, in huge pages if the system has them; nullptr if refused.
void* map_pages(size_t bytes);
void unmap_pages(void* pages, size_t bytes);
// Gives the system back what whole pages inside the range take; their contents are lost. Where it cannot, nothing happens.
void discard_pages(void* at, size_t bytes);

}  // namespace bitwright::platform
