// The innermost loops of matrix products, compiled once for each level of SIMD: `matrix.c` includes this file with
//
//     CK_LEVEL(name)   the name with the level's suffix
//     CK_WIDTH         floats in a vector
//     CK_VECTORS       vectors in a panel of B, so that a tile of CK_TILE_ROWS × CK_VECTORS sums stays in registers
//
// A tile is rows × vectors sums. Each sum runs over k in its order, whatever the tile, so that bits depend on the level
// alone. Products are contracted to fused multiply-adds where the level has them.

#pragma STDC FP_CONTRACT ON

typedef float CK_LEVEL(vector) __attribute__((vector_size(4 * CK_WIDTH), aligned(4)));

#include "winograd_kernels.h"

/// c ← alpha · sums + bias + beta · c.
CK_INLINE void CK_LEVEL(finish)(
  CK_LEVEL(vector) *sums, int rows, int vectors, const ck_tile *tile, float *const *c) {
  int tail = tile->columns - (vectors - 1) * CK_WIDTH;
  CK_UNROLL
  for (int r = 0; r < rows; r++) {
    CK_UNROLL
    for (int v = 0; v < vectors; v++) {
      CK_LEVEL(vector) value = tile->alpha * sums[r * vectors + v];
      float *target = c[r] + v * CK_WIDTH;
      int count = v == vectors - 1 ? tail : CK_WIDTH;
      if (count == CK_WIDTH) {
        if (tile->bias) value += *(const CK_LEVEL(vector) *)(tile->bias + v * CK_WIDTH);
        if (tile->beta != 0) value += tile->beta * *(const CK_LEVEL(vector) *)target;
        *(CK_LEVEL(vector) *)target = value;
      } else {
        for (int i = 0; i < count; i++) {
          float sum = value[i];
          if (tile->bias) sum += tile->bias[v * CK_WIDTH + i];
          if (tile->beta != 0) sum += tile->beta * target[i];
          target[i] = sum;
        }
      }
    }
  }
}

/// A tile whose rows of A lie in stretches: stretch s of row r begins at a[s · rows + r], and is null throughout where
/// all of it is zero.
CK_INLINE void CK_LEVEL(by_rows)(
  int rows, int vectors, const ck_tile *tile, const float *const *a, int stretches, ptrdiff_t length, const float *b,
  ptrdiff_t b_row, float *const *c) {
  CK_LEVEL(vector) sums[CK_TILE_ROWS * CK_VECTORS];
  CK_UNROLL
  for (int i = 0; i < rows * vectors; i++) sums[i] = (CK_LEVEL(vector)){0};
  for (int s = 0; s < stretches; s++) {
    const float *row[CK_TILE_ROWS];
    if (!a[s * rows]) {
      b += length * b_row;
      continue;
    }
    CK_UNROLL
    for (int r = 0; r < rows; r++) row[r] = a[s * rows + r];
    for (ptrdiff_t k = 0; k < length; k++) {
      CK_LEVEL(vector) panel[CK_VECTORS];
      CK_UNROLL
      for (int v = 0; v < vectors; v++) panel[v] = *(const CK_LEVEL(vector) *)(b + v * CK_WIDTH);
      CK_UNROLL
      for (int r = 0; r < rows; r++) {
        float x = row[r][k];
        CK_UNROLL
        for (int v = 0; v < vectors; v++) sums[r * vectors + v] += x * panel[v];
      }
      b += b_row;
    }
  }
  CK_LEVEL(finish)(sums, rows, vectors, tile, c);
}

/// A tile of whose terms only those at `indices` are not zero: row r of A begins at a[r].
CK_INLINE void CK_LEVEL(by_indices)(
  int rows, int vectors, const ck_tile *tile, const float *const *a, const int *indices, int count, const float *b,
  ptrdiff_t b_row, float *const *c) {
  CK_LEVEL(vector) sums[CK_TILE_ROWS * CK_VECTORS];
  const float *row[CK_TILE_ROWS];
  CK_UNROLL
  for (int i = 0; i < rows * vectors; i++) sums[i] = (CK_LEVEL(vector)){0};
  CK_UNROLL
  for (int r = 0; r < rows; r++) row[r] = a[r];
  for (int i = 0; i < count; i++) {
    ptrdiff_t k = indices[i];
    CK_LEVEL(vector) panel[CK_VECTORS];
    CK_UNROLL
    for (int v = 0; v < vectors; v++) panel[v] = *(const CK_LEVEL(vector) *)(b + k * b_row + v * CK_WIDTH);
    CK_UNROLL
    for (int r = 0; r < rows; r++) {
      float x = row[r][k];
      CK_UNROLL
      for (int v = 0; v < vectors; v++) sums[r * vectors + v] += x * panel[v];
    }
  }
  CK_LEVEL(finish)(sums, rows, vectors, tile, c);
}

/// A tile whose columns of A lie in memory: of column k it takes the elements at a[k] + offsets[r].
CK_INLINE void CK_LEVEL(by_columns)(
  int rows, int vectors, const ck_tile *tile, const float *const *a, const int *offsets, ptrdiff_t length, const float *b,
  ptrdiff_t b_row, float *const *c) {
  CK_LEVEL(vector) sums[CK_TILE_ROWS * CK_VECTORS];
  CK_UNROLL
  for (int i = 0; i < rows * vectors; i++) sums[i] = (CK_LEVEL(vector)){0};
  ptrdiff_t offset[CK_TILE_ROWS];
  CK_UNROLL
  for (int r = 0; r < rows; r++) offset[r] = offsets[r];
  for (ptrdiff_t k = 0; k < length; k++) {
    const float *column = a[k];
    CK_LEVEL(vector) panel[CK_VECTORS];
    CK_UNROLL
    for (int v = 0; v < vectors; v++) panel[v] = *(const CK_LEVEL(vector) *)(b + v * CK_WIDTH);
    CK_UNROLL
    for (int r = 0; r < rows; r++) {
      float x = column[offset[r]];
      CK_UNROLL
      for (int v = 0; v < vectors; v++) sums[r * vectors + v] += x * panel[v];
    }
    b += b_row;
  }
  CK_LEVEL(finish)(sums, rows, vectors, tile, c);
}

#include "sparse_kernels.h"

#define CK_TILE(rows, vectors)                                                                                      \
  static CK_TARGET void CK_LEVEL(by_rows_##rows##_##vectors)(                                                       \
    const ck_tile *tile, const float *const *a, int stretches, ptrdiff_t length, const float *b, ptrdiff_t b_row,   \
    float *const *c) {                                                                                              \
    CK_LEVEL(by_rows)(rows, vectors, tile, a, stretches, length, b, b_row, c);                                      \
  }                                                                                                                 \
  static CK_TARGET void CK_LEVEL(by_indices_##rows##_##vectors)(                                                    \
    const ck_tile *tile, const float *const *a, const int *indices, int count, const float *b, ptrdiff_t b_row,     \
    float *const *c) {                                                                                              \
    CK_LEVEL(by_indices)(rows, vectors, tile, a, indices, count, b, b_row, c);                                      \
  }                                                                                                                 \
  static CK_TARGET void CK_LEVEL(by_columns_##rows##_##vectors)(                                                    \
    const ck_tile *tile, const float *const *a, const int *offsets, ptrdiff_t length, const float *b,               \
    ptrdiff_t b_row, float *const *c) {                                                                             \
    CK_LEVEL(by_columns)(rows, vectors, tile, a, offsets, length, b, b_row, c);                                     \
  }

// Registers hold 6 rows of all vectors of a panel, or 8 of a narrower one.
#define CK_TILES(rows) CK_TILE(rows, 1) CK_TILE(rows, 2) CK_IF_WIDE(CK_TILE(rows, 3) CK_TILE(rows, 4))
#define CK_HIGH_TILES(rows) CK_TILE(rows, 1) CK_IF_WIDE(CK_TILE(rows, 2) CK_TILE(rows, 3))
CK_TILES(1) CK_TILES(2) CK_TILES(3) CK_TILES(4) CK_TILES(5) CK_TILES(6) CK_HIGH_TILES(7) CK_HIGH_TILES(8)

#define CK_ENTRIES(kind, rows) \
  { CK_LEVEL(kind##_##rows##_1), CK_LEVEL(kind##_##rows##_2), \
    CK_IF_WIDE(CK_LEVEL(kind##_##rows##_3), CK_LEVEL(kind##_##rows##_4)) }
#define CK_HIGH_ENTRIES(kind, rows) \
  { CK_LEVEL(kind##_##rows##_1), CK_IF_WIDE(CK_LEVEL(kind##_##rows##_2), CK_LEVEL(kind##_##rows##_3)) }
#define CK_TABLE(kind) \
  { CK_ENTRIES(kind, 1), CK_ENTRIES(kind, 2), CK_ENTRIES(kind, 3), CK_ENTRIES(kind, 4), CK_ENTRIES(kind, 5), \
    CK_ENTRIES(kind, 6), CK_HIGH_ENTRIES(kind, 7), CK_HIGH_ENTRIES(kind, 8) }

/// Writes the transpose of 16 × 16 floats.
static CK_TARGET void CK_LEVEL(transpose)(const float *source, ptrdiff_t source_row, float *target, ptrdiff_t target_row) {
  typedef float row __attribute__((vector_size(64), aligned(4)));
  row x[16], y[16];
  for (int i = 0; i < 16; i++) x[i] = *(const row *)(source + i * source_row);
  // Each round interleaves rows i and i + 8; after four, element (i, j) is at (j, i).
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < 8; i++) {
      y[2 * i] = __builtin_shufflevector(
        x[i], x[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      y[2 * i + 1] = __builtin_shufflevector(
        x[i], x[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    for (int i = 0; i < 16; i++) x[i] = y[i];
  }
  for (int i = 0; i < 16; i++) *(row *)(target + i * target_row) = x[i];
}

static CK_TARGET size_t CK_LEVEL(find_nonzero)(const float *a, ptrdiff_t a_row, size_t rows, size_t columns, int *indices) {
  typedef uint32_t bits __attribute__((vector_size(64), aligned(4)));
  size_t count = 0;
  size_t first = 0;
  for (; first + 16 <= columns; first += 16) {
    bits any = {0};
    // All bits but signs.
    for (size_t i = 0; i < rows; i++) any |= *(const bits *)(a + (ptrdiff_t)i * a_row + (ptrdiff_t)first) << 1;
    for (size_t l = 0; l < 16; l++) {
      indices[count] = (int)(first + l);
      count += any[l] != 0;
    }
  }
  for (; first < columns; first++) {
    int any = 0;
    for (size_t i = 0; i < rows; i++) any |= a[(ptrdiff_t)i * a_row + (ptrdiff_t)first] != 0;
    indices[count] = (int)first;
    count += (size_t)any;
  }
  return count > columns - columns / 8 ? columns : count;
}

static const ck_matrix_kernels CK_LEVEL(kernels) = {
  CK_WIDTH, CK_VECTORS, CK_TABLE(by_rows), CK_TABLE(by_indices), CK_TABLE(by_columns), CK_LEVEL(transpose),
  CK_LEVEL(find_nonzero), CK_LEVEL(transform_image), CK_LEVEL(transform_output), CK_LEVEL(transform_output_gradient),
  CK_LEVEL(transform_weights), CK_LEVEL(transform_weights_gradient),
  {CK_LEVEL(sparse_1), CK_LEVEL(sparse_2), CK_LEVEL(sparse_3), CK_LEVEL(sparse_4), CK_LEVEL(sparse_5), CK_LEVEL(sparse_6),
    CK_LEVEL(sparse_7), CK_LEVEL(sparse_8)},
  CK_LEVEL(count_nonzero)};

#undef CK_TILE
#undef CK_TILES
#undef CK_HIGH_TILES
#undef CK_ENTRIES
#undef CK_HIGH_ENTRIES
#undef CK_TABLE
