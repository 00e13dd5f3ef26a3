#include "allocator.h"

#if defined(__linux__)
#include <features.h>
#endif

#if defined(__GLIBC__)
#include <malloc.h>

void ck_return_freed_memory(void) {
  // Large blocks stay mappings of their own, which go when they are freed. Otherwise the first freed one makes those after it
  // parts of a thread's heap, whose end trimming leaves alone. A codec's blocks would leave holes there, each a little too small for
  // the next one once a row is kept at its beginning: the heap would grow with every checkpoint.
  mallopt(M_MMAP_THRESHOLD, 64 << 10);
  malloc_trim(0);
}
#else
void ck_return_freed_memory(void) {}
#endif
