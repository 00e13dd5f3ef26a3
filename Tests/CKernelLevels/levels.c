#include "kernel_levels.h"

extern const kl_level kl_least_level;

#if defined(__x86_64__)
extern const kl_level kl_avx2_level, kl_avx512_level;

const kl_level *kl_level_at(int index) {
  switch (index) {
  case 0: return &kl_least_level;
  case 1: return __builtin_cpu_supports("x86-64-v3") ? &kl_avx2_level : NULL;
  case 2: return __builtin_cpu_supports("x86-64-v4") ? &kl_avx512_level : NULL;
  default: return NULL;
  }
}
#else
const kl_level *kl_level_at(int index) { return index == 0 ? &kl_least_level : NULL; }
#endif
