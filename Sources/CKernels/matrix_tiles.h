#ifndef BACKTRAIL_MATRIX_TILES_H
#define BACKTRAIL_MATRIX_TILES_H

// What matrix products and convolutions share: tiles of sums, and panels of B arranged for them.

#include <stdbool.h>
#include <stddef.h>

#include "elementwise.h"
#include "matrix.h"

/// The most rows of a tile of sums, and the most vectors in one of its rows.
#define CK_TILE_ROWS 8
#define CK_TILE_VECTORS 8
/// The most rows of a tile where there are many rows.
#define CK_MANY_TILE_ROWS 6
/// The most columns of a panel of B: the widest level's.
#define CK_PANEL 64
/// Terms added up before the sum goes to c, where rows of A lie in memory, and where columns do: the panel then stays in
/// the innermost cache.
#define CK_BLOCK 512
#define CK_COLUMN_BLOCK CK_SUM_ROWS
/// Floats of images that a convolution surrounds with zeros at a time.
#define CK_IMAGE_FLOATS 32768

/// What a tile's sums become.
typedef struct {
  /// Of all its panels; the last vector of the last may be part full.
  int columns;
  float alpha, beta;
  /// At the tile's first column, or null.
  const float *bias;
} ck_tile;

typedef void (*ck_by_rows)(
    const ck_tile *, const float *const *a, int stretches, ptrdiff_t length, const float *b, ptrdiff_t b_row,
    float *const *c);
typedef void (*ck_by_indices)(
    const ck_tile *, const float *const *a, const int *indices, int count, const float *b, ptrdiff_t b_row,
    float *const *c);
typedef void (*ck_by_columns)(
    const ck_tile *, const float *const *a, const int *offsets, ptrdiff_t length, const float *b, float *const *c);

/// The most terms that rows which are mostly zero take at once, a bit of a mask each, and the most vectors of their sums.
#define CK_SPARSE_TERMS 64
#define CK_SPARSE_VECTORS 8

/// Terms of products: rows of a, each with `length` terms, and as many rows of b, whose columns fill whole vectors.
typedef struct {
  const float *a;
  ptrdiff_t a_row, length;
  const float *b;
  ptrdiff_t b_row;
  /// Where rows of sums go with the last terms.
  float *c;
  ptrdiff_t c_row;
  /// Whether sums begin with these terms, and whether they end with them.
  bool are_first, are_last;
} ck_sparse_terms;

typedef void (*ck_sparse)(const ck_tile *, const ck_sparse_terms *, size_t rows, float *sums);

/// The loops of one level of SIMD. The functions are there by rows − 1 and vectors − 1, as far as registers hold the sums.
typedef struct {
  /// Floats in a vector.
  int width;
  /// The most vectors in a row of a tile, by its rows − 1.
  int most_vectors[CK_TILE_ROWS];
  /// How many rows at once take the fewest loads where there are 7 or 8.
  int rows_of_eight;
  ck_by_rows by_rows[CK_TILE_ROWS][CK_TILE_VECTORS];
  ck_by_indices by_indices[CK_TILE_ROWS][CK_TILE_VECTORS];
  ck_by_columns by_columns[CK_TILE_ROWS][CK_TILE_VECTORS];
  /// Copies rows of `columns` floats to rows of whole vectors, zeros to the right.
  void (*copy_rows)(const float *source, ptrdiff_t source_row, size_t rows, size_t columns, float *target);
  void (*transpose)(const float *source, ptrdiff_t source_row, float *target, ptrdiff_t target_row);
  /// Which columns of `rows` × `columns` floats are not all zero: how many, or `columns` where hardly any are.
  size_t (*find_nonzero)(const float *a, ptrdiff_t a_row, size_t rows, size_t columns, int *indices);
  /// Of Winograd's convolution: one tile, or one row of weights, of many channels. Pixels and places are 6 × 6 and 4 × 4
  /// pointers; a null place is passed over.
  void (*transform_image)(const float *const *pixels, size_t channels, float *transformed, size_t plane);
  void (*transform_output)(
      const float *transformed, size_t plane, size_t channels, const float *bias, float *const *places);
  void (*transform_output_gradient)(const float *const *places, size_t channels, float *transformed, size_t plane);
  void (*transform_weights)(const float *weights, ptrdiff_t tap, size_t count, float *transformed, size_t plane);
  void (*transform_weights_gradient)(
      const float *transformed, size_t plane, size_t count, float alpha, float beta, float *weights, size_t tap);
  /// By vectors − 1. Sums wait in `sums` from some terms to the next.
  ck_sparse sparse[CK_SPARSE_VECTORS];
  size_t (*count_nonzero)(const float *x, size_t count);
} ck_matrix_kernels;

/// Those of this thread's level.
const ck_matrix_kernels *ck_matrix(void);

/// What a thread needs to arrange operands in.
typedef struct {
  float panel[CK_BLOCK * CK_PANEL] __attribute__((aligned(64)));
  /// Small images with zeros around them.
  float images[CK_IMAGE_FLOATS] __attribute__((aligned(64)));
  const float *columns[CK_COLUMN_BLOCK];
  /// Of what is not zero.
  int indices[CK_BLOCK];
} ck_matrix_scratch;

extern _Thread_local ck_matrix_scratch ck_scratch;

/// Stands for what lies outside an image, of up to CK_BLOCK channels.
extern const float ck_zeros[CK_BLOCK];

/// Writes `length` × `columns` of b to `panel`, its rows as wide as the vectors they take, zeros to the right.
void ck_pack(
    const ck_matrix_kernels *level, const float *b, ptrdiff_t b_row, ptrdiff_t b_column, size_t length, size_t columns,
    float *panel);

/// The product by rows of a that are mostly zero, with the bits of all other ways; false, with nothing done, where they are not, or it
/// would not pay.
bool ck_multiply_sparse(const ck_matrix_kernels *level, const ck_product *product);

static inline size_t ck_least(size_t a, size_t b) { return a < b ? a : b; }

/// How the rows of a product with `columns` columns are cut into tiles of nearly equal size, so that none is much lower than the sums
/// that registers hold.
typedef struct {
  size_t tiles, base, larger;
} ck_cut;

static inline ck_cut ck_cut_rows(const ck_matrix_kernels *level, size_t count, size_t columns) {
  size_t most = CK_MANY_TILE_ROWS;
  // Where a row takes one vector, there must be many rows for multipliers not to wait for sums.
  if (columns <= (size_t)level->width) most = CK_TILE_ROWS;
  else if (count == 7 || count == 8) most = (size_t)level->rows_of_eight;
  size_t tiles = (count + most - 1) / most;
  return (ck_cut){tiles, tiles ? count / tiles : 0, tiles ? count % tiles : 0};
}

static inline int ck_rows_of(const ck_cut *cut, size_t tile) { return (int)(cut->base + (tile < cut->larger)); }

/// Floats in a row of the cut's highest tile.
static inline size_t ck_width_of(const ck_matrix_kernels *level, const ck_cut *cut) {
  return (size_t)(level->width * level->most_vectors[cut->tiles ? ck_rows_of(cut, 0) - 1 : 0]);
}

/// Rows of c by their tiles: c ← alpha · sums + (bias + beta · c) over panels of b, whose columns of A are `ck_scratch.columns`. Row r of
/// the product takes the elements at offsets[r], and is row places[r] of c, or row r where there are no places.
void ck_sum_columns(
    const ck_matrix_kernels *level, const ck_cut *rows, int vectors, const ck_tile *tile, const int *offsets, const int *places,
    size_t length, const float *panels, float *c, ptrdiff_t c_row);

static inline int ck_vectors_of(const ck_matrix_kernels *level, size_t columns) {
  return (int)((columns + (size_t)level->width - 1) / (size_t)level->width);
}

#endif
