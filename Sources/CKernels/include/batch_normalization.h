#ifndef BACKTRAIL_BATCH_NORMALIZATION_H
#define BACKTRAIL_BATCH_NORMALIZATION_H

#include <stddef.h>

// Matrices are rows × columns, a channel a column. Sums over rows go in strips of a fixed height, in single precision
// within a strip and in double precision over strips.

/// The mean and the biased variance of each column.
void ck_moments(const float *x, size_t rows, size_t columns, float *mean, float *variance);

/// y ← factor · (x − mean) + shift, by column.
void ck_normalize(
    const float *x, size_t rows, size_t columns, const float *mean, const float *factor, const float *shift, float *y);

/// By column: sums ← Σ g, products ← Σ g (x − mean).
void ck_gradient_moments(
    const float *g, const float *x, size_t rows, size_t columns, const float *mean, float *sums, float *products);

/// out ← factor · g + slope · (x − mean) + shift, by column; out may be g.
void ck_normalize_gradient(
    const float *g, const float *x, size_t rows, size_t columns, const float *mean, const float *factor,
    const float *slope, const float *shift, float *out);

#endif
