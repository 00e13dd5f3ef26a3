// The innermost loops of matrix products, compiled once for each level of SIMD: `matrix.c` includes this file with
//
//     CK_LEVEL(name)   the name with the level's suffix
//     CK_WIDTH         floats in a vector
//     CK_VECTORS       the most vectors in a row of a tile with 1, 2, … and 8 rows, whose sums stay in registers
//     CK_TILES(X)      X(rows, vectors) for each tile
//     CK_EIGHT         how many of 7 or 8 rows a tile takes
//
// A tile is rows × vectors sums. Each sum runs over k in its order, whatever the tile, so that bits depend on the level
// alone. Products are contracted to fused multiply-adds where the level has them.

#pragma STDC FP_CONTRACT ON

typedef float CK_LEVEL(vector) __attribute__((vector_size(4 * CK_WIDTH), aligned(4)));

#include "winograd_kernels.h"

/// vector ← the first `count` < CK_WIDTH floats, and zeros.
CK_INLINE void CK_LEVEL(read_part)(const float *source, int count, CK_LEVEL(vector) *vector) {
  float whole[CK_WIDTH] = {0};
  _Pragma("clang loop vectorize(disable)")
  for (int i = 0; i < count; i++) whole[i] = source[i];
  *vector = *(const CK_LEVEL(vector) *)whole;
}

/// Writes the first `count` < CK_WIDTH floats of a vector.
CK_INLINE void CK_LEVEL(write_part)(const CK_LEVEL(vector) *vector, int count, float *target) {
  float whole[CK_WIDTH];
  *(CK_LEVEL(vector) *)whole = *vector;
  int done = 0;
  CK_UNROLL
  for (int size = CK_WIDTH / 2; size > 0; size /= 2)
    if (count & size) {
      memcpy(target + done, whole + done, (size_t)size * sizeof(float));
      done += size;
    }
}

/// target ← alpha · sum + (bias + beta · target) for the first `part` < CK_WIDTH floats.
CK_INLINE void CK_LEVEL(finish_part)(
  const CK_LEVEL(vector) *sum, int part, float alpha, float beta, const CK_LEVEL(vector) *bias, float *target) {
  if (beta == 0) {
    CK_LEVEL(vector) value = alpha * *sum + *bias;
    return CK_LEVEL(write_part)(&value, part, target);
  }
  float sums[CK_WIDTH], added[CK_WIDTH];
  *(CK_LEVEL(vector) *)sums = *sum;
  *(CK_LEVEL(vector) *)added = *bias;
  _Pragma("clang loop vectorize(disable)")
  for (int i = 0; i < part; i++) target[i] = alpha * sums[i] + (added[i] + beta * target[i]);
}

/// c ← alpha · sums + (bias + beta · c), for the columns of the tile from `left` on.
CK_INLINE void CK_LEVEL(finish)(
  CK_LEVEL(vector) *sums, int rows, int vectors, const ck_tile *tile, int left, float *const *c) {
  int part = tile->columns - left - (vectors - 1) * CK_WIDTH;
  float alpha = tile->alpha, beta = tile->beta;
  const float *bias = tile->bias ? tile->bias + left : NULL;
  // An update of weights in place: small products spend much of their time here.
  if (beta == 1 && !bias && part >= CK_WIDTH) {
    CK_UNROLL
    for (int r = 0; r < rows; r++) {
      CK_UNROLL
      for (int v = 0; v < vectors; v++) {
        CK_LEVEL(vector) *target = (CK_LEVEL(vector) *)(c[r] + left + v * CK_WIDTH);
        *target = alpha * sums[r * vectors + v] + *target;
      }
    }
    return;
  }
  CK_LEVEL(vector) last_bias = {0};
  if (bias && part < CK_WIDTH) CK_LEVEL(read_part)(bias + (vectors - 1) * CK_WIDTH, part, &last_bias);
  CK_UNROLL
  for (int r = 0; r < rows; r++) {
    float *target = c[r] + left;
    CK_UNROLL
    for (int v = 0; v < vectors; v++) {
      CK_LEVEL(vector) sum = sums[r * vectors + v], added = {0};
      int first = v * CK_WIDTH;
      if (v < vectors - 1 || part >= CK_WIDTH) {
        if (bias) added = *(const CK_LEVEL(vector) *)(bias + first);
        if (beta == 1)
          added += *(const CK_LEVEL(vector) *)(target + first);
        else if (beta != 0)
          added += beta * *(const CK_LEVEL(vector) *)(target + first);
        *(CK_LEVEL(vector) *)(target + first) = alpha * sum + added;
      } else {
        CK_LEVEL(finish_part)(&sum, part, alpha, beta, &last_bias, target + first);
      }
    }
  }
}

/// A tile whose rows of A lie in stretches: stretch s of row r begins at a[s · rows + r], and is null throughout where
/// all of it is zero.
CK_INLINE void CK_LEVEL(by_rows)(
  int rows, int vectors, const ck_tile *tile, const float *const *a, int stretches, ptrdiff_t length, const float *b,
  ptrdiff_t b_row, float *const *c) {
  CK_LEVEL(vector) sums[CK_TILE_ROWS * CK_TILE_VECTORS];
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
      CK_LEVEL(vector) panel[CK_TILE_VECTORS];
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
  CK_LEVEL(finish)(sums, rows, vectors, tile, 0, c);
}

/// A tile of whose terms only those at `indices` are not zero: row r of A begins at a[r].
CK_INLINE void CK_LEVEL(by_indices)(
  int rows, int vectors, const ck_tile *tile, const float *const *a, const int *indices, int count, const float *b,
  ptrdiff_t b_row, float *const *c) {
  CK_LEVEL(vector) sums[CK_TILE_ROWS * CK_TILE_VECTORS];
  const float *row[CK_TILE_ROWS];
  CK_UNROLL
  for (int i = 0; i < rows * vectors; i++) sums[i] = (CK_LEVEL(vector)){0};
  CK_UNROLL
  for (int r = 0; r < rows; r++) row[r] = a[r];
  for (int i = 0; i < count; i++) {
    ptrdiff_t k = indices[i];
    CK_LEVEL(vector) panel[CK_TILE_VECTORS];
    CK_UNROLL
    for (int v = 0; v < vectors; v++) panel[v] = *(const CK_LEVEL(vector) *)(b + k * b_row + v * CK_WIDTH);
    CK_UNROLL
    for (int r = 0; r < rows; r++) {
      float x = row[r][k];
      CK_UNROLL
      for (int v = 0; v < vectors; v++) sums[r * vectors + v] += x * panel[v];
    }
  }
  CK_LEVEL(finish)(sums, rows, vectors, tile, 0, c);
}

/// Tiles side by side, over all panels of b, whose columns of A lie in memory: of column k they take the elements at
/// a[k] + offsets[r]. Panels follow each other, `length` rows of the tile's vectors each.
CK_INLINE void CK_LEVEL(by_columns)(
  int rows, int vectors, const ck_tile *tile, const float *const *a, const int *offsets, ptrdiff_t length, const float *b,
  float *const *c) {
  ptrdiff_t offset[CK_TILE_ROWS];
  CK_UNROLL
  for (int r = 0; r < rows; r++) offset[r] = offsets[r];
  for (int left = 0; left < tile->columns; left += vectors * CK_WIDTH) {
    CK_LEVEL(vector) sums[CK_TILE_ROWS * CK_TILE_VECTORS];
    CK_UNROLL
    for (int i = 0; i < rows * vectors; i++) sums[i] = (CK_LEVEL(vector)){0};
    for (ptrdiff_t k = 0; k < length; k++) {
      const float *column = a[k];
      CK_LEVEL(vector) panel[CK_TILE_VECTORS];
      CK_UNROLL
      for (int v = 0; v < vectors; v++) panel[v] = *(const CK_LEVEL(vector) *)(b + v * CK_WIDTH);
      CK_UNROLL
      for (int r = 0; r < rows; r++) {
        float x = column[offset[r]];
        CK_UNROLL
        for (int v = 0; v < vectors; v++) sums[r * vectors + v] += x * panel[v];
      }
      b += vectors * CK_WIDTH;
    }
    CK_LEVEL(finish)(sums, rows, vectors, tile, left, c);
  }
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
    float *const *c) {                                                                                              \
    CK_LEVEL(by_columns)(rows, vectors, tile, a, offsets, length, b, c);                                            \
  }
CK_TILES(CK_TILE)

CK_INLINE void CK_LEVEL(copy_vectors)(
  int vectors, const float *source, ptrdiff_t source_row, size_t rows, float *target, size_t target_row) {
  for (size_t i = 0; i < rows; i++) {
    CK_UNROLL
    for (int v = 0; v < vectors; v++)
      *(CK_LEVEL(vector) *)(target + v * CK_WIDTH) = *(const CK_LEVEL(vector) *)(source + v * CK_WIDTH);
    source += source_row;
    target += target_row;
  }
}

static CK_TARGET void CK_LEVEL(copy_rows)(
  const float *source, ptrdiff_t source_row, size_t rows, size_t columns, float *target) {
  size_t whole = columns / CK_WIDTH;
  size_t target_row = (columns + CK_WIDTH - 1) / CK_WIDTH * CK_WIDTH;
  // Four vectors at a time, then what is left.
  for (size_t v = 0; v < whole; v += 4) {
    const float *from = source + v * CK_WIDTH;
    float *to = target + v * CK_WIDTH;
    switch (whole - v) {
    case 1: CK_LEVEL(copy_vectors)(1, from, source_row, rows, to, target_row); break;
    case 2: CK_LEVEL(copy_vectors)(2, from, source_row, rows, to, target_row); break;
    case 3: CK_LEVEL(copy_vectors)(3, from, source_row, rows, to, target_row); break;
    default: CK_LEVEL(copy_vectors)(4, from, source_row, rows, to, target_row);
    }
  }
  if (whole * CK_WIDTH == columns) return;
  typedef int32_t bits __attribute__((vector_size(4 * CK_WIDTH)));
  bits kept;
  for (size_t i = 0; i < CK_WIDTH; i++) kept[i] = i < columns % CK_WIDTH ? -1 : 0;
  source += whole * CK_WIDTH;
  target += whole * CK_WIDTH;
  for (size_t i = 0; i < rows; i++) {
    // A whole vector is read where it ends before the last row does.
    CK_LEVEL(vector) last;
    if (source_row > 0 && (rows - 1 - i) * (size_t)source_row >= CK_WIDTH)
      last = (CK_LEVEL(vector))((bits)*(const CK_LEVEL(vector) *)source & kept);
    else
      CK_LEVEL(read_part)(source, (int)(columns % CK_WIDTH), &last);
    *(CK_LEVEL(vector) *)target = last;
    source += source_row;
    target += target_row;
  }
}

/// Writes the transpose of 16 × 16 floats, in quarters of 8 × 8.
static CK_TARGET void CK_LEVEL(transpose)(const float *source, ptrdiff_t source_row, float *target, ptrdiff_t target_row) {
  typedef float row __attribute__((vector_size(32), aligned(4)));
  for (int quarter = 0; quarter < 4; quarter++) {
    const float *from = source + quarter / 2 * 8 * source_row + quarter % 2 * 8;
    float *to = target + quarter % 2 * 8 * target_row + quarter / 2 * 8;
    row x[8], y[8];
    CK_UNROLL
    for (int i = 0; i < 8; i++) x[i] = *(const row *)(from + i * source_row);
    // Pairs of rows, then of pairs, then halves, none of which but the last leaves its four floats.
    CK_UNROLL
    for (int i = 0; i < 8; i += 2) {
      y[i] = __builtin_shufflevector(x[i], x[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
      y[i + 1] = __builtin_shufflevector(x[i], x[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    CK_UNROLL
    for (int i = 0; i < 8; i += 4) {
      CK_UNROLL
      for (int j = 0; j < 2; j++) {
        x[i + 2 * j] = __builtin_shufflevector(y[i + j], y[i + 2 + j], 0, 1, 8, 9, 4, 5, 12, 13);
        x[i + 2 * j + 1] = __builtin_shufflevector(y[i + j], y[i + 2 + j], 2, 3, 10, 11, 6, 7, 14, 15);
      }
    }
    CK_UNROLL
    for (int i = 0; i < 4; i++) {
      *(row *)(to + i * target_row) = __builtin_shufflevector(x[i], x[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
      *(row *)(to + (i + 4) * target_row) = __builtin_shufflevector(x[i], x[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
  }
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

#define CK_ENTRY(rows, vectors) [rows - 1][vectors - 1] = CK_BY(rows, vectors),
static const ck_matrix_kernels CK_LEVEL(kernels) = {
  .width = CK_WIDTH, .most_vectors = CK_VECTORS, .rows_of_eight = CK_EIGHT,
#define CK_BY(rows, vectors) CK_LEVEL(by_rows_##rows##_##vectors)
  .by_rows = {CK_TILES(CK_ENTRY)},
#undef CK_BY
#define CK_BY(rows, vectors) CK_LEVEL(by_indices_##rows##_##vectors)
  .by_indices = {CK_TILES(CK_ENTRY)},
#undef CK_BY
#define CK_BY(rows, vectors) CK_LEVEL(by_columns_##rows##_##vectors)
  .by_columns = {CK_TILES(CK_ENTRY)},
#undef CK_BY
  .copy_rows = CK_LEVEL(copy_rows), .transpose = CK_LEVEL(transpose), .find_nonzero = CK_LEVEL(find_nonzero),
  .transform_image = CK_LEVEL(transform_image), .transform_output = CK_LEVEL(transform_output),
  .transform_output_gradient = CK_LEVEL(transform_output_gradient), .transform_weights = CK_LEVEL(transform_weights),
  .transform_weights_gradient = CK_LEVEL(transform_weights_gradient),
  .sparse = {CK_LEVEL(sparse_1), CK_LEVEL(sparse_2), CK_LEVEL(sparse_3), CK_LEVEL(sparse_4), CK_LEVEL(sparse_5), CK_LEVEL(sparse_6),
    CK_LEVEL(sparse_7), CK_LEVEL(sparse_8)},
  .count_nonzero = CK_LEVEL(count_nonzero)};
#undef CK_ENTRY
#undef CK_TILE
