#include "matrix.h"

#include <stdint.h>
#include <string.h>

#include "dispatch.h"
#include "matrix_tiles.h"

/// Sums must not be indexed at run time to stay in registers.
#define CK_UNROLL _Pragma("clang loop unroll(full)")
#define CK_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define CK_TARGET __attribute__((target("arch=x86-64-v4"), min_vector_width(512)))
#define CK_LEVEL(name) ck_avx512_##name
#define CK_WIDTH 16
#define CK_VECTORS 4
#define CK_IF_WIDE(...) __VA_ARGS__
#include "matrix_kernels.h"
#undef CK_TARGET
#undef CK_LEVEL
#undef CK_WIDTH
#undef CK_VECTORS
#undef CK_IF_WIDE

#define CK_TARGET __attribute__((target("arch=x86-64-v3")))
#define CK_LEVEL(name) ck_avx2_##name
#define CK_WIDTH 8
#define CK_VECTORS 2
#define CK_IF_WIDE(...)
#include "matrix_kernels.h"
#undef CK_TARGET
#undef CK_LEVEL
#undef CK_WIDTH
#undef CK_VECTORS
#undef CK_IF_WIDE

#define CK_TARGET
#define CK_LEVEL(name) ck_sse2_##name
#define CK_WIDTH 4
#define CK_VECTORS 2
#define CK_IF_WIDE(...)
#include "matrix_kernels.h"

/// By index of the level.
static const ck_matrix_kernels *const kernels[] = {&ck_avx512_kernels, &ck_avx2_kernels, &ck_sse2_kernels};
#else
#define CK_TARGET
#define CK_LEVEL(name) ck_neon_##name
#define CK_WIDTH 4
#define CK_VECTORS 4
#define CK_IF_WIDE(...) __VA_ARGS__
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
    for (size_t k = 0; k < length; k++) {
      memcpy(panel + k * width, b + (ptrdiff_t)k * b_row, columns * sizeof(float));
      memset(panel + k * width + columns, 0, (width - columns) * sizeof(float));
    }
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
  int is_high = p->m > CK_WIDE_TILE_ROWS && p->m <= CK_TILE_ROWS;
  size_t width = (size_t)(level->width * (is_high ? level->vectors - 1 : level->vectors));
  ck_cut rows = is_high ? (ck_cut){1, p->m, 0} : ck_cut_rows(p->m);
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

/// A block of the product's terms whose columns of a lie in memory.
static void multiply_columns(const ck_matrix_kernels *level, const ck_product *p, size_t first, size_t length) {
  size_t width = (size_t)(level->width * level->vectors);
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
    ck_cut rows = ck_cut_rows(wanted);
    for (size_t left = 0; left < p->n; left += width) {
      size_t columns = ck_least(width, p->n - left);
      const float *b = p->b + (ptrdiff_t)first * p->b_row + (ptrdiff_t)left * p->b_column;
      ptrdiff_t b_row = p->b_row;
      int vectors = ck_vectors_of(level, columns);
      if (p->b_column != 1 || rows.tiles > 3 || columns % (size_t)level->width != 0) {
        ck_pack(level, b, b_row, p->b_column, length, columns, ck_scratch.panel);
        b = ck_scratch.panel;
        b_row = vectors * level->width;
      }
      ck_tile tile = {(int)columns, p->alpha, beta, bias ? bias + left : NULL};
      const int *indices = ck_scratch.indices;
      for (size_t t = 0; t < rows.tiles; t++) {
        int count = ck_rows_of(&rows, t);
        float *c[CK_TILE_ROWS];
        for (int r = 0; r < count; r++) c[r] = p->c + ((ptrdiff_t)begin + indices[r]) * p->c_row + (ptrdiff_t)left;
        level->by_columns[count - 1][vectors - 1](
            &tile, ck_scratch.columns, indices, (ptrdiff_t)length, b, b_row, c);
        indices += count;
      }
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
