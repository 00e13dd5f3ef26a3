#ifndef BACKTRAIL_DISPATCH_H
#define BACKTRAIL_DISPATCH_H

/// Compiles a function once for each level of SIMD and lets the loader choose the one for the processor.
///
/// Products and sums are never contracted to fused ones, and sums of many terms have a fixed order, so that all
/// levels give the same bits.
#if defined(__x86_64__) && defined(__linux__)
#define CK_DISPATCHED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CK_DISPATCHED
#endif

#pragma STDC FP_CONTRACT OFF

#endif
