#ifndef BACKTRAIL_ALLOCATOR_H
#define BACKTRAIL_ALLOCATOR_H

/// Gives back to the system what was freed but kept for later allocations. Does nothing where the C library can't.
void ck_return_freed_memory(void);

/// From now on the process takes every block of 64 KiB or more from the system by itself, and gives it back when it is freed. Does
/// nothing where the C library can't.
void ck_map_large_blocks(void);

#endif
