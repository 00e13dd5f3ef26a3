#include "batch_normalization.h"

#include "dispatch.h"

// Columns go in blocks whose sums stay in registers; rows in strips, so that single precision adds up few terms.
enum { BLOCK = 32, STRIP = 128 };

/// Adds to totals what TERM, an expression of row r and column c, sums to.
#define CK_SUM(totals, width, TERM)                                          \
  for (size_t strip = 0; strip < rows; strip += STRIP) {                     \
    size_t end = rows - strip < STRIP ? rows : strip + STRIP;                \
    float sums[BLOCK] = {0};                                                 \
    for (size_t r = strip; r < end; r++)                                     \
      for (size_t c = 0; c < (width); c++) sums[c] += (TERM);                \
    for (size_t c = 0; c < (width); c++) (totals)[c] += sums[c];             \
  }

/// The same, with a loop of constant length for whole blocks.
#define CK_SUM_BLOCK(totals, TERM)                                           \
  if (width == BLOCK) {                                                      \
    CK_SUM(totals, BLOCK, TERM)                                              \
  } else {                                                                   \
    CK_SUM(totals, width, TERM)                                              \
  }

CK_DISPATCHED(
  void, ck_moments, (const float *x, size_t rows, size_t columns, float *mean, float *variance),
  (x, rows, columns, mean, variance)) {
  for (size_t start = 0; start < columns; start += BLOCK) {
    size_t width = columns - start < BLOCK ? columns - start : BLOCK;
    const float *block = x + start;
    double totals[BLOCK] = {0}, squares[BLOCK] = {0};
    CK_SUM_BLOCK(totals, block[r * columns + c])
    float means[BLOCK] = {0};
    for (size_t c = 0; c < width; c++) mean[start + c] = means[c] = (float)(totals[c] / rows);
    CK_SUM_BLOCK(squares, (block[r * columns + c] - means[c]) * (block[r * columns + c] - means[c]))
    for (size_t c = 0; c < width; c++) variance[start + c] = (float)(squares[c] / rows);
  }
}

CK_DISPATCHED(
  void, ck_normalize, (const float *x, size_t rows, size_t columns, const float *mean, const float *factor, const float *shift,
    float *y),
  (x, rows, columns, mean, factor, shift, y)) {
  for (size_t r = 0; r < rows; r++) {
    for (size_t c = 0; c < columns; c++) y[c] = factor[c] * (x[c] - mean[c]) + shift[c];
    x += columns;
    y += columns;
  }
}

CK_DISPATCHED(
  void, ck_gradient_moments, (const float *g, const float *x, size_t rows, size_t columns, const float *mean, float *sums_out,
    float *products_out),
  (g, x, rows, columns, mean, sums_out, products_out)) {
  for (size_t start = 0; start < columns; start += BLOCK) {
    size_t width = columns - start < BLOCK ? columns - start : BLOCK;
    const float *gradients = g + start, *block = x + start, *means = mean + start;
    double totals[BLOCK] = {0}, products[BLOCK] = {0};
    CK_SUM_BLOCK(totals, gradients[r * columns + c])
    CK_SUM_BLOCK(products, gradients[r * columns + c] * (block[r * columns + c] - means[c]))
    for (size_t c = 0; c < width; c++) {
      sums_out[start + c] = (float)totals[c];
      products_out[start + c] = (float)products[c];
    }
  }
}

CK_DISPATCHED(
  void, ck_normalize_gradient, (const float *g, const float *x, size_t rows, size_t columns, const float *mean,
    const float *factor, const float *slope, const float *shift, float *out),
  (g, x, rows, columns, mean, factor, slope, shift, out)) {
  for (size_t r = 0; r < rows; r++) {
    for (size_t c = 0; c < columns; c++) out[c] = factor[c] * g[c] + slope[c] * (x[c] - mean[c]) + shift[c];
    g += columns;
    x += columns;
    out += columns;
  }
}
