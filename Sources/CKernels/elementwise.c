#include "elementwise.h"

#include "dispatch.h"

CK_DISPATCHED(void, ck_rectify, (float *x, size_t count), (x, count)) {
  for (size_t i = 0; i < count; i++) x[i] = x[i] < 0 ? 0 : x[i];
}

void ck_prefetch(const void *memory, size_t size) {
  for (size_t offset = 0; offset < size; offset += 64) __builtin_prefetch((const char *)memory + offset);
}

CK_DISPATCHED(
  void, ck_assign_bytes, (float *x, const unsigned char *bytes, float divisor, size_t count),
  (x, bytes, divisor, count)) {
  for (size_t i = 0; i < count; i++) x[i] = (float)bytes[i] / divisor;
}

CK_DISPATCHED(void, ck_keep_positive, (float *x, const float *y, size_t count), (x, y, count)) {
  for (size_t i = 0; i < count; i++) x[i] = y[i] > 0 ? x[i] : 0;
}

CK_DISPATCHED(void, ck_add, (float *x, const float *y, size_t count), (x, y, count)) {
  for (size_t i = 0; i < count; i++) x[i] += y[i];
}

CK_DISPATCHED(void, ck_scale, (float *x, float factor, size_t count), (x, factor, count)) {
  for (size_t i = 0; i < count; i++) x[i] *= factor;
}

CK_DISPATCHED(void, ck_combine, (float *x, float keep, const float *y, float factor, size_t count), (x, keep, y, factor, count)) {
  if (keep == 0) {
    for (size_t i = 0; i < count; i++) x[i] = factor * y[i];
  } else {
    for (size_t i = 0; i < count; i++) x[i] = keep * x[i] + factor * y[i];
  }
}

// So many floats of the target stay in the innermost cache while all buffers take them.
enum { MOVED_BLOCK = 1024 };

CK_DISPATCHED(
  void, ck_move, (float *const *buffers, const float *weights, size_t buffer_count, const float *target, size_t count),
  (buffers, weights, buffer_count, target, count)) {
  for (size_t start = 0; start < count; start += MOVED_BLOCK) {
    const float *t = target + start;
    const size_t length = count - start < MOVED_BLOCK ? count - start : MOVED_BLOCK;
    for (size_t b = 0; b < buffer_count; b++) {
      float *x = buffers[b] + start;
      const float weight = weights[b];
      for (size_t i = 0; i < length; i++) x[i] += weight * (t[i] - x[i]);
    }
  }
}

// Columns go in blocks that stay in registers, so that the matrix is read once and in long strips.
enum { COLUMN_BLOCK = 64, COLUMN_LANES = 8 };
typedef float lanes_t __attribute__((vector_size(4 * COLUMN_LANES), aligned(4)));

/// sums[c] ← keep · sums[c] + scale · block[c] for `width` columns.
INLINED void keep_sums(const float *block, size_t width, float scale, float *sums, float keep) {
  for (size_t c = 0; c < width; c++) {
    float kept = keep == 0 ? 0 : keep * sums[c];
    sums[c] = kept + scale * block[c];
  }
}

/// sums ← keep · sums + scale · (sums of COLUMN_BLOCK columns of up to CK_SUM_ROWS rows).
INLINED void add_block(const float *x, size_t rows, size_t columns, float scale, float *sums, float keep) {
  float block[COLUMN_BLOCK] = {0};
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < COLUMN_BLOCK; c++) block[c] += x[r * columns + c];
  keep_sums(block, COLUMN_BLOCK, scale, sums, keep);
}

/// The same for `width` < COLUMN_BLOCK columns, the last of the matrix: whole vectors reach into the next row, where there is one.
/// - floats_left: from x to the matrix's end.
INLINED void add_last_columns(
    const float *x, size_t rows, size_t columns, size_t width, size_t floats_left, float scale, float *sums, float keep) {
  for (size_t start = 0; start < width; start += COLUMN_LANES) {
    lanes_t block = {0};
    size_t r = 0;
    for (; r < rows && r * columns + start + COLUMN_LANES <= floats_left; r++) block += *(const lanes_t *)(x + r * columns + start);
    float last[COLUMN_LANES];
    *(lanes_t *)last = block;
    size_t count = width - start < COLUMN_LANES ? width - start : COLUMN_LANES;
    for (; r < rows; r++)
      for (size_t c = 0; c < count; c++) last[c] += x[r * columns + start + c];
    keep_sums(last, count, scale, sums + start, keep);
  }
}

CK_DISPATCHED(
  void, ck_column_sums, (const float *x, size_t rows, size_t columns, float scale, float *sums, float keep),
  (x, rows, columns, scale, sums, keep)) {
  for (size_t start = 0; start < columns; start += COLUMN_BLOCK) {
    for (size_t first = 0; first == 0 || first < rows; first += CK_SUM_ROWS) {
      const float *part = x + first * columns + start;
      size_t length = rows - first < CK_SUM_ROWS ? rows - first : CK_SUM_ROWS;
      float kept = first == 0 ? keep : 1;
      if (columns - start >= COLUMN_BLOCK)
        add_block(part, length, columns, scale, sums + start, kept);
      else
        add_last_columns(
            part, length, columns, columns - start, (rows - first) * columns - start, scale, sums + start, kept);
    }
  }
}

CK_DISPATCHED(
  size_t, ck_count_hits, (const float *x, ptrdiff_t row, size_t rows, size_t columns, const int32_t *places),
  (x, row, rows, columns, places)) {
  size_t hits = 0;
  for (size_t r = 0; r < rows; r++, x += row) {
    if (places[r] < 0 || (size_t)places[r] >= columns) continue;
    const size_t place = (size_t)places[r];
    const float number = x[place];
    // NaN compares as false.
    int misses = !(number - number == 0);
    for (size_t c = 0; c < place; c++) misses |= !(x[c] < number);
    for (size_t c = place + 1; c < columns; c++) misses |= !(x[c] <= number);
    hits += !misses;
  }
  return hits;
}
