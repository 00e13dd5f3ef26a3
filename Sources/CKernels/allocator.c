#include "allocator.h"

#if defined(__linux__)
#include <features.h>
#endif

#if defined(__GLIBC__)
#include <malloc.h>

void ck_return_freed_memory(void) {
  // Large blocks stay mappings of their own, which go when they are freed. Otherwise the first freed one makes those after it
  // parts of a thread's heap, whose end trimming leaves alone.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  malloc_trim(0);
}
#else
void ck_return_freed_memory(void) {}
#endif
