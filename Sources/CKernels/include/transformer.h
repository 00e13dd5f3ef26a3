#ifndef BACKTRAIL_TRANSFORMER_H
#define BACKTRAIL_TRANSFORMER_H

#include <stddef.h>
#include <stdint.h>

/// By row: y ← weight · (x − mean) · inverse + bias, with the row's mean and inverse = 1 / √(variance + epsilon), which
/// are written too.
void ck_layer_norm(
    const float *x, size_t rows, size_t columns, const float *weight, const float *bias, float epsilon, float *y,
    float *mean, float *inverse);

/// The gradient of `ck_layer_norm` by x, where out is not NULL; and by column sums ← Σ g, products ← Σ g x̂.
void ck_layer_norm_gradient(
    const float *g, const float *x, size_t rows, size_t columns, const float *weight, const float *mean,
    const float *inverse, float *out, float *sums, float *products);

/// y ← x Φ(x), the Gaussian error linear unit.
void ck_gelu(const float *x, float *y, size_t count);

/// out ← g · (Φ(x) + x φ(x)).
void ck_gelu_gradient(const float *g, const float *x, float *out, size_t count);

/// Row r of the rows × columns matrix s, with no more rows than columns, becomes softmax(scale · s) of its first
/// columns − rows + r + 1 entries, the others 0: the last row sees all.
void ck_causal_softmax(float *s, size_t rows, size_t columns, float scale);

/// With p from `ck_causal_softmax` and g the gradient by it: g ← the gradient by its argument.
void ck_causal_softmax_gradient(const float *p, float *g, size_t rows, size_t columns, float scale);

/// y ← x · factor where the element's random word is at least `threshold`, else 0. Element i's word is word i mod 4 of
/// Philox 4x32-10 with the key at counter (i / 4, counter1, counter2, counter3).
void ck_dropout(
    const float *x, float *y, size_t count, uint32_t threshold, float factor, uint32_t key0, uint32_t key1,
    uint32_t counter1, uint32_t counter2, uint32_t counter3);

#endif
