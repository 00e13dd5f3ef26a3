#ifndef BACKTRAIL_OPTIMIZERS_H
#define BACKTRAIL_OPTIMIZERS_H

#include <stddef.h>

#include "block_codes.h"

/// v ← mu · v + g; x ← x − rate · v.
void ck_momentum(float *x, const float *g, float *v, float rate, float mu, size_t count);

/// v ← mu · v + g; x ← x − rate · (g + mu · v).
void ck_nesterov(float *x, const float *g, float *v, float rate, float mu, size_t count);

/// m ← m + (1 − beta1) (g − m); s ← beta2 · s + (1 − beta2) g²; x ← x − rate · m / (square_scale · √s + epsilon).
void ck_adam(
    float *x, const float *g, float *m, float *s, float rate, float beta1, float beta2, float square_scale,
    float epsilon, size_t count);

/// s ← alpha · s + (1 − alpha) g²; x ← x − rate · g / (√s + epsilon).
void ck_rmsprop(float *x, const float *g, float *s, float rate, float alpha, float epsilon, size_t count);

// The same steps for slots in blocks of codes: v and m in a signed code, s in one without negative numbers. The numbers of a block are
// decoded, take the step as floats, and are encoded again.

void ck_momentum_blocks(float *x, const float *g, float *v, const ck_code *code, float rate, float mu, size_t count);

void ck_nesterov_blocks(float *x, const float *g, float *v, const ck_code *code, float rate, float mu, size_t count);

void ck_adam_blocks(
    float *x, const float *g, float *m, float *s, const ck_code *mean_code, const ck_code *square_code, float rate,
    float beta1, float beta2, float square_scale, float epsilon, size_t count);

void ck_rmsprop_blocks(
    float *x, const float *g, float *s, const ck_code *code, float rate, float alpha, float epsilon, size_t count);

#endif
