#ifndef BACKTRAIL_OPTIMIZERS_H
#define BACKTRAIL_OPTIMIZERS_H

#include <stddef.h>

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

#endif
