#include "matrix.h"

#include <stdint.h>
#include <string.h>

#include "dispatch.h"
#include "matrix_tiles.h"

/// Sums must not be indexed at run time to stay in registers.
#define CK_UNROLL _Pragma("clang loop unroll(full)")
#define CK_INLINE static inline __attribute__((always_inline))

// The sums of a tile, a row of its panel and one element of A are in registers: 32 of them, or 16.
#define CK_TILES_OF_32(X)                                                                                                  \
  CK_ROWS_OF_4(X, 1) CK_ROWS_OF_4(X, 2) CK_ROWS_OF_4(X, 3) CK_ROWS_OF_4(X, 4) CK_ROWS_OF_4(X, 5) CK_ROWS_OF_4(X, 6)        \
  CK_ROWS_OF_3(X, 7) CK_ROWS_OF_3(X, 8)
#define CK_TILES_OF_16(X)                                                                                                  \
  CK_ROWS_OF_4(X, 1) X(1, 5) X(1, 6) X(1, 7) X(1, 8) CK_ROWS_OF_4(X, 2) CK_ROWS_OF_3(X, 3) CK_ROWS_OF_3(X, 4)              \
  X(5, 1) X(5, 2) X(6, 1) X(6, 2) X(7, 1) X(8, 1)
#define CK_ROWS_OF_3(X, rows) X(rows, 1) X(rows, 2) X(rows, 3)
#define CK_ROWS_OF_4(X, rows) CK_ROWS_OF_3(X, rows) X(rows, 4)
#define CK_VECTORS_OF_32 {4, 4, 4, 4, 4, 4, 3, 3}
#define CK_VECTORS_OF_16 {8, 4, 3, 3, 2, 2, 1, 1}

#if defined(__x86_64__)
#define CK_TARGET __attribute__((target("arch=x86-64-v4"), min_vector_width(512)))
#define CK_LEVEL(name) ck_avx512_##name
#define CK_WIDTH 16
#define CK_TILES CK_TILES_OF_32
#define CK_VECTORS CK_VECTORS_OF_32
#define CK_EIGHT 8
#include "matrix_kernels.h"
#undef CK_TARGET
#undef CK_LEVEL
#undef CK_WIDTH
#undef CK_TILES
#undef CK_VECTORS
#undef CK_EIGHT

#define CK_TARGET __attribute__((target("arch=x86-64-v3")))
#define CK_LEVEL(name) ck_avx2_##name
#define CK_WIDTH 8
#define CK_TILES CK_TILES_OF_16
#define CK_VECTORS CK_VECTORS_OF_16
#define CK_EIGHT 4
#include "matrix_kernels.h"
#undef CK_TARGET
#undef CK_LEVEL
#undef CK_WIDTH

#define CK_TARGET
#define CK_LEVEL(name) ck_sse2_##name
#define CK_WIDTH 4
#include "matrix_kernels.h"

/// By index of the level.
static const ck_matrix_kernels *const kernels[] = {&ck_avx512_kernels, &ck_avx2_kernels, &ck_sse2_kernels};
#else
#define CK_TARGET
#define CK_LEVEL(name) ck_neon_##name
#define CK_WIDTH 4
#define CK_TILES CK_TILES_OF_32
#define CK_VECTORS CK_VECTORS_OF_32
#define CK_EIGHT 8
#include "matrix_kernels.h"

static const ck_matrix_kernels *const kernels[] = {&ck_neon_kernels};
#endif

const ck_matrix_kernels *ck_matrix(void) { return kernels[ck_level()]; }

_Thread_local ck_matrix_scratch ck_scratch;

const float ck_zeros[CK_BLOCK];

void ck_pack(
    const ck_matrix_kernels *level, const float *b, ptrdiff_t b_row, ptrdiff_t b_column, size_t length, size_t columns,
    float *panel) {
  size_t width = (size_t)(level->width * ck_vectors_of(level, columns));
  if (b_column == 1) {
    level->copy_rows(b, b_row, length, columns, panel);
    return;
  }
  for (size_t j = 0; j < width; j += 16) {
    for (size_t k = 0; k < length; k += 16) {
      if (j + 16 <= columns && k + 16 <= length) {
        level->transpose(b + (ptrdiff_t)j * b_column + (ptrdiff_t)k, b_column, panel + k * width + j, (ptrdiff_t)width);
        continue;
      }
      for (size_t i = k; i < ck_least(k + 16, length); i++)
        for (size_t l = j; l < ck_least(j + 16, width); l++)
          panel[i * width + l] = l < columns ? b[(ptrdiff_t)l * b_column + (ptrdiff_t)i] : 0;
    }
  }
}

/// The most rows of a, or columns of a transposed one, for which it pays to look for zeros: more seldom have them all.
#define CK_FEW 32

/// A block of the product's terms whose rows of a lie in memory.
static void multiply_rows(const ck_matrix_kernels *level, const ck_product *p, size_t first, size_t length) {
  ck_cut rows = ck_cut_rows(level, p->m, p->n);
  size_t width = ck_width_of(level, &rows);
  size_t terms = length;
  if (p->m <= CK_FEW) terms = level->find_nonzero(p->a + first, p->a_stride, p->m, length, ck_scratch.indices);
  for (size_t left = 0; left < p->n; left += width) {
    size_t columns = ck_least(width, p->n - left);
    const float *b = p->b + (ptrdiff_t)first * p->b_row + (ptrdiff_t)left * p->b_column;
    ptrdiff_t b_row = p->b_row;
    int vectors = ck_vectors_of(level, columns);
    // What few rows use once, or what is as narrow as a panel, is read where it is.
    int is_panel = b_row == vectors * level->width || rows.tiles <= 3;
    if (p->b_column != 1 || !is_panel || columns % (size_t)level->width != 0) {
      ck_pack(level, b, b_row, p->b_column, length, columns, ck_scratch.panel);
      b = ck_scratch.panel;
      b_row = vectors * level->width;
    }
    ck_tile tile = {(int)columns, p->alpha, first == 0 ? p->beta : 1, first == 0 && p->bias ? p->bias + left : NULL};
    size_t top = 0;
    for (size_t t = 0; t < rows.tiles; t++) {
      int count = ck_rows_of(&rows, t);
      const float *a[CK_TILE_ROWS];
      float *c[CK_TILE_ROWS];
      for (int r = 0; r < count; r++) {
        a[r] = p->a + (ptrdiff_t)(top + (size_t)r) * p->a_stride + (ptrdiff_t)first;
        c[r] = p->c + (ptrdiff_t)(top + (size_t)r) * p->c_row + (ptrdiff_t)left;
      }
      if (terms < length)
        level->by_indices[count - 1][vectors - 1](&tile, a, ck_scratch.indices, (int)terms, b, b_row, c);
      else
        level->by_rows[count - 1][vectors - 1](&tile, a, 1, (ptrdiff_t)length, b, b_row, c);
      top += (size_t)count;
    }
  }
}

/// Floats of a strip of panels that stays in the innermost cache while all rows of c go by.
#define CK_STRIP 4096

void ck_sum_columns(
    const ck_matrix_kernels *level, const ck_cut *rows, int vectors, const ck_tile *tile, const int *offsets, const int *places,
    size_t length, const float *panels, float *c, ptrdiff_t c_row) {
  size_t top = 0;
  for (size_t t = 0; t < rows->tiles; t++) {
    size_t count = (size_t)ck_rows_of(rows, t);
    float *targets[CK_TILE_ROWS];
    for (size_t r = top; r < top + count; r++) targets[r - top] = c + (places ? places[r] : (ptrdiff_t)r) * c_row;
    level->by_columns[count - 1][vectors - 1](tile, ck_scratch.columns, offsets + top, (ptrdiff_t)length, panels, targets);
    top += count;
  }
}

/// A block of the product's terms whose columns of a lie in memory.
static void multiply_columns(const ck_matrix_kernels *level, const ck_product *p, size_t first, size_t length) {
  float beta = first == 0 ? p->beta : 1;
  const float *bias = first == 0 ? p->bias : NULL;
  // Rows of c by the block, so that those that nothing is added to can be passed over.
  for (size_t begin = 0; begin < p->m; begin += CK_BLOCK) {
    size_t all = ck_least(CK_BLOCK, p->m - begin);
    size_t wanted = all;
    for (size_t k = 0; k < length; k++)
      ck_scratch.columns[k] = p->a + (ptrdiff_t)(first + k) * p->a_stride + (ptrdiff_t)begin;
    if (p->k <= CK_FEW && beta == 1 && !bias)
      wanted = level->find_nonzero(ck_scratch.columns[0], p->a_stride, length, all, ck_scratch.indices);
    if (wanted == all)
      for (size_t i = 0; i < all; i++) ck_scratch.indices[i] = (int)i;
    ck_cut rows = ck_cut_rows(level, wanted, p->n);
    size_t width = ck_width_of(level, &rows);
    const int *indices = ck_scratch.indices;
    size_t panels = length == 0 ? 1 : CK_STRIP / (length * width);
    size_t strip = width * (panels == 0 ? 1 : panels);
    for (size_t left = 0; left < p->n; left += strip) {
      size_t columns = ck_least(strip, p->n - left);
      // All panels but the last have the full width.
      size_t whole = columns / width * width;
      for (size_t column = 0; column < columns; column += width)
        ck_pack(
            level, p->b + (ptrdiff_t)first * p->b_row + (ptrdiff_t)(left + column) * p->b_column, p->b_row, p->b_column, length,
            ck_least(width, columns - column), ck_scratch.panel + column * length);
      float *c = p->c + (ptrdiff_t)begin * p->c_row + (ptrdiff_t)left;
      ck_tile tile = {(int)whole, p->alpha, beta, bias ? bias + left : NULL};
      ck_sum_columns(level, &rows, (int)width / level->width, &tile, indices, indices, length, ck_scratch.panel, c, p->c_row);
      if (whole == columns) continue;
      ck_tile rest = {(int)(columns - whole), p->alpha, beta, bias ? bias + left + whole : NULL};
      ck_sum_columns(
          level, &rows, ck_vectors_of(level, columns - whole), &rest, indices, indices, length, ck_scratch.panel + whole * length,
          c + whole, p->c_row);
    }
  }
}

void ck_multiply(const ck_product *p) {
  const ck_matrix_kernels *level = ck_matrix();
  if (!p->is_a_transposed && ck_multiply_sparse(level, p)) return;
  size_t block = p->is_a_transposed ? CK_COLUMN_BLOCK : CK_BLOCK;
  for (size_t first = 0; first == 0 || first < p->k; first += block)
    (p->is_a_transposed ? multiply_columns : multiply_rows)(level, p, first, ck_least(block, p->k - first));
}
