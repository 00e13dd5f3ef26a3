#ifndef KERNEL_LEVELS_H
#define KERNEL_LEVELS_H

#include "CKernels.h"

/// Kernels on blocks of codes, compiled for one level of SIMD that the loader might choose, and not for others.
typedef struct {
  const char *name;
  void (*encode)(const ck_code *code, const float *x, size_t count, float *blocks);
  void (*decode)(const ck_code *code, const float *blocks, size_t count, float *x);
  void (*momentum)(float *x, const float *g, float *v, const ck_code *code, float rate, float mu, size_t count);
  void (*nesterov)(float *x, const float *g, float *v, const ck_code *code, float rate, float mu, size_t count);
  void (*adam)(
      float *x, const float *g, float *m, float *s, const ck_code *mean_code, const ck_code *square_code, float rate,
      float beta1, float beta2, float square_scale, float epsilon, size_t count);
  void (*rmsprop)(
      float *x, const float *g, float *s, const ck_code *code, float rate, float alpha, float epsilon, size_t count);
} kl_level;

/// The level at an index; NULL where this machine lacks it, and for indices from 3.
const kl_level *kl_level_at(int index);

#endif
