// Everything that native code asks the operating system for: processor features, usable cores, memory pages, mapped files, the process id.
// Supports Linux (glibc or musl), macOS and Windows with GCC or Clang; the kernels' vector extension rules out MSVC.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu.h"

namespace bitwright::platform {

// What both the processor and the operating system support, as bits of cpu.h; 0 where there is no way to ask.
uint32_t features();

int usable_cores();     // cores that this process may run on, at least 1
uint64_t process_id();  // changes in a child of fork()

// `bytes` (above 0) of zeroed memory, allocated by page as it is touched, in huge pages if the system has them; nullptr if refused.
void* map_pages(size_t bytes);
void unmap_pages(void* pages, size_t bytes);
// Returns whole pages inside the range to the system; their contents are lost. Does nothing where that is unsupported.
void discard_pages(void* at, size_t bytes);

// A file mapped at `at` may be shortened by others. From now on a read past its end finds zeros and marks the mapping as torn,
// where the system would end the process (SIGBUS). Returns the mapping's number for the next two; -1 if there are too many,
// or if the system lets nobody shorten a mapped file.
int guard_mapping(const void* at, size_t bytes);
bool torn(int mapping);
void forget_mapping(int mapping);  // before it is unmapped

}  // namespace bitwright::platform
