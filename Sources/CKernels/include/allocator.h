#ifndef BACKTRAIL_ALLOCATOR_H
#define BACKTRAIL_ALLOCATOR_H

/// Gives back to the system what was freed but kept for later allocations. Does nothing where the C library can't.
void ck_return_freed_memory(void);

#endif
