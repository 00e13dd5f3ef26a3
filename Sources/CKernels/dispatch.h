#ifndef BACKTRAIL_DISPATCH_H
#define BACKTRAIL_DISPATCH_H

#include "levels.h"

/// For functions that become a part of each version of a dispatched one.
#define INLINED static inline __attribute__((always_inline))

/// Begins a function that is compiled once for each level of SIMD; its body follows. The version for `ck_level()` is called, with
/// `arguments`, the names of the parameters in parentheses.
///
/// Products and sums are never contracted to fused ones, and sums of many terms have a fixed order, so that all
/// levels give the same bits. The tuning for x86-64-v4 would halve the width of its vectors, so the one for x86-64 is taken.
#if defined(__x86_64__)
#define CK_DISPATCHED(type, name, parameters, arguments)                                                                              \
  INLINED type name##_body parameters;                                                                                                \
  static __attribute__((target("arch=x86-64-v4,tune=x86-64"))) type name##_avx512 parameters { return name##_body arguments; }        \
  static __attribute__((target("arch=x86-64-v3"))) type name##_avx2 parameters { return name##_body arguments; }                      \
  static type name##_sse2 parameters { return name##_body arguments; }                                                                \
  type name parameters {                                                                                                              \
    switch (ck_level()) {                                                                                                             \
    case 0: return name##_avx512 arguments;                                                                                           \
    case 1: return name##_avx2 arguments;                                                                                             \
    default: return name##_sse2 arguments;                                                                                            \
    }                                                                                                                                 \
  }                                                                                                                                   \
  INLINED type name##_body parameters
#else
#define CK_DISPATCHED(type, name, parameters, arguments) type name parameters
#endif

#pragma STDC FP_CONTRACT OFF

#endif
