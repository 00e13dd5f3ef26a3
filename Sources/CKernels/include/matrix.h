#ifndef BACKTRAIL_MATRIX_H
#define BACKTRAIL_MATRIX_H

#include <stddef.h>

#include "images.h"

/// c ← alpha · a b + (bias + beta · c), the sum added last in one rounding where products are fused, with c m × n, a m × k and b k × n. Element (i, j) of a is at
/// a[i · a_stride + j], or where a is transposed at a[i + j · a_stride]; that of b is at b[i · b_row + j · b_column], where one of the
/// two strides is 1. c has rows. With beta = 0 the old contents of c are not read. `bias` is a row of n floats, or null.
///
/// Every sum runs over k in blocks of 512, or of CK_SUM_ROWS where a is transposed, and within a block one term after the other: its
/// bits depend on no other element. Terms that are zero in a row of a that has many, or in all of few rows, are left out: that changes no
/// bit but where b is not finite.
typedef struct {
  size_t m, n, k;
  const float *a;
  ptrdiff_t a_stride;
  int is_a_transposed;
  const float *b;
  ptrdiff_t b_row, b_column;
  float *c;
  ptrdiff_t c_row;
  float alpha, beta;
  const float *bias;
} ck_product;

void ck_multiply(const ck_product *product);

/// Computes a product: `ck_multiply`, or another library's way.
typedef void (*ck_multiplier)(const ck_product *product);

/// The convolutions of `examples` images, channels last, with weights [size][size][in channels][out channels]:
/// out ← images * weights + bias (null: none), places × out channels.
void ck_convolve(
    const ck_window *window, size_t examples, const float *images, const float *weights, size_t out_channels,
    const float *bias, float *out);

/// images ← the gradient of `ck_convolve` by its images.
void ck_convolve_images_gradient(
    const ck_window *window, size_t examples, const float *out_gradient, const float *weights, size_t out_channels,
    float *images);

/// weights ← alpha · the gradient of `ck_convolve` by its weights + beta · weights, for `taps` of the window's places from
/// `first_tap` on.
void ck_convolve_weights_gradient(
    const ck_window *window, size_t examples, const float *images, const float *out_gradient, size_t out_channels,
    size_t first_tap, size_t taps, float alpha, float beta, float *weights);

#endif
