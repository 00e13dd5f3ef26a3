#include "allocator.h"

#if defined(__linux__)
#include <features.h>
#endif

#if defined(__GLIBC__)
#include <malloc.h>

void ck_return_freed_memory(void) { malloc_trim(0); }

void ck_map_large_blocks(void) { mallopt(M_MMAP_THRESHOLD, 64 << 10); }
#else
void ck_return_freed_memory(void) {}

void ck_map_large_blocks(void) {}
#endif
