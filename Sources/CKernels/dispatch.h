#ifndef BACKTRAIL_DISPATCH_H
#define BACKTRAIL_DISPATCH_H

// The loader calls the resolvers of clones before a sanitizer's run time is ready, and the compiler instruments them.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CK_SANITIZED 1
#endif
#endif

/// Compiles a function once for each level of SIMD and lets the loader choose the one for the processor.
///
/// Products and sums are never contracted to fused ones, and sums of many terms have a fixed order, so that all
/// levels give the same bits.
#if defined(__x86_64__) && defined(__linux__) && !defined(CK_SANITIZED)
#define CK_DISPATCHED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CK_DISPATCHED
#endif

/// For functions that become a part of each clone of a dispatched one.
#define INLINED static inline __attribute__((always_inline))

#pragma STDC FP_CONTRACT OFF

#endif
