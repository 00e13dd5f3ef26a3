#include "matrix_tiles.h"

/// Sums that a group of rows keeps while some terms after the others are added: with as many of b they stay in the inner caches.
#define CK_SPARSE_ROWS 64

_Static_assert(
    (CK_SPARSE_TERMS + CK_SPARSE_ROWS) * CK_SPARSE_VECTORS * 16 <= CK_BLOCK * CK_PANEL, "the panel holds the terms of b and the sums");

/// The fraction of terms, in eighths, up to which passing zeros over is faster than multiplying them.
#define CK_SPARSE_EIGHTHS 5

/// Whether some of the rows of a are mostly zero, and so probably all.
static bool is_sparse(const ck_matrix_kernels *level, const ck_product *p) {
  const size_t samples = ck_least(4, p->m);
  size_t found = 0;
  for (size_t i = 0; i < samples; i++)
    found += level->count_nonzero(p->a + (ptrdiff_t)(i * p->m / samples) * p->a_stride, p->k);
  return found <= samples * p->k / 8 * CK_SPARSE_EIGHTHS;
}

/// The sums of a group of rows and up to CK_SPARSE_VECTORS vectors of columns. They begin at zero in each block, as those of tiles do.
static void multiply_group(
    const ck_matrix_kernels *level, const ck_product *p, size_t top, size_t rows, size_t left, size_t columns) {
  const int vectors = ck_vectors_of(level, columns);
  const size_t width = (size_t)(level->width * vectors);
  float *sums = ck_scratch.panel + CK_SPARSE_TERMS * width;
  for (size_t first = 0; first < p->k; first += CK_BLOCK) {
    const size_t end = first + ck_least(CK_BLOCK, p->k - first);
    const ck_tile tile = {(int)columns, p->alpha, first == 0 ? p->beta : 1, first == 0 && p->bias ? p->bias + left : NULL};
    for (size_t k = first; k < end; k += CK_SPARSE_TERMS) {
      const size_t length = ck_least(CK_SPARSE_TERMS, end - k);
      ck_sparse_terms terms = {
        p->a + (ptrdiff_t)top * p->a_stride + (ptrdiff_t)k, p->a_stride, (ptrdiff_t)length,
        p->b + (ptrdiff_t)k * p->b_row + (ptrdiff_t)left, p->b_row,
        p->c + (ptrdiff_t)top * p->c_row + (ptrdiff_t)left, p->c_row, k == first, k + length == end};
      // What few rows use is read where it is if it fills vectors, and so are strips close to each other, which share a cache.
      const bool is_near = p->b_row <= 2 * (ptrdiff_t)width || rows <= CK_SPARSE_ROWS / 2;
      if (columns != width || !is_near) {
        ck_pack(level, terms.b, p->b_row, 1, length, columns, ck_scratch.panel);
        terms.b = ck_scratch.panel;
        terms.b_row = (ptrdiff_t)width;
      }
      level->sparse[vectors - 1](&tile, &terms, rows, sums);
    }
  }
}

bool ck_multiply_sparse(const ck_matrix_kernels *level, const ck_product *p) {
  // Few columns do not repay looking terms up, nor do few rows the search for zeros.
  if (p->m < CK_TILE_ROWS || p->n < 4 * (size_t)level->width || p->k == 0 || p->b_column != 1 || !is_sparse(level, p)) return false;
  const size_t width = (size_t)(level->width * CK_SPARSE_VECTORS);
  for (size_t left = 0; left < p->n; left += width)
    for (size_t top = 0; top < p->m; top += CK_SPARSE_ROWS)
      multiply_group(level, p, top, ck_least(CK_SPARSE_ROWS, p->m - top), left, ck_least(width, p->n - left));
  return true;
}
