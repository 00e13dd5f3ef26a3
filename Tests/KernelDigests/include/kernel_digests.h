#ifndef KERNEL_DIGESTS_H
#define KERNEL_DIGESTS_H

#include <stdint.h>

/// Takes the digest of what a kernel wrote.
typedef void (*kd_line)(void *context, const char *name, uint64_t digest);

/// Calls every kernel of CKernels, at this thread's level of SIMD, with inputs that are the same on every machine, and gives a digest
/// of its results.
void kd_digests(kd_line line, void *context);

#endif
