#ifndef BACKTRAIL_LEVELS_H
#define BACKTRAIL_LEVELS_H

#include <stdbool.h>

// Levels of SIMD that kernels are compiled for, best first: "avx512" (x86-64-v4), "avx2" (x86-64-v3) and "sse2", or "neon".

/// The name of the level at an index, from 0 on; NULL behind the last.
const char *ck_level_name(int index);

/// Whether this machine has the level at an index.
bool ck_has_level(int index);

/// The index of the level that this thread's kernels use: the best that the machine has, unless another was chosen.
int ck_level(void);

/// Whether matrix products are fused with sums at this thread's level: multiplied and added with one rounding.
bool ck_is_fused(void);

/// Takes the level of that name in the whole process, for kernels that are called from now on; false where this machine lacks it.
bool ck_set_process_level(const char *name);

/// Takes the level of that name on this thread from now on, or with NULL that of the process again; false where this machine lacks
/// it. For tests.
bool ck_set_level(const char *name);

#endif
