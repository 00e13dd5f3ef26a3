#ifndef BACKTRAIL_ELEMENTWISE_H
#define BACKTRAIL_ELEMENTWISE_H

#include <stddef.h>
#include <stdint.h>

/// x ← max(x, 0); NaN stays NaN.
void ck_rectify(float *x, size_t count);

/// Asks for memory that will be read soon: rows of a batch lie far apart, and waiting for all of them at once takes little longer
/// than waiting for one.
void ck_prefetch(const void *memory, size_t size);

/// x ← bytes / divisor.
void ck_assign_bytes(float *x, const unsigned char *bytes, float divisor, size_t count);

/// x ← x where y > 0, else 0.
void ck_keep_positive(float *x, const float *y, size_t count);

/// x ← x + y.
void ck_add(float *x, const float *y, size_t count);

/// x ← factor · x.
void ck_scale(float *x, float factor, size_t count);

/// x ← keep · x + factor · y. With keep = 0, x is not read.
void ck_combine(float *x, float keep, const float *y, float factor, size_t count);

/// x ← x + w (target − x) for each of the buffers x and its weight w, all `count` floats long. The target is read once.
void ck_move(float *const *buffers, const float *weights, size_t buffer_count, const float *target, size_t count);

/// How many rows of a batch a sum over them adds up from zero before they go to where the sum is kept, as products do whose
/// columns of a lie in memory. So a batch in parts of a multiple of so many rows gives the bits of the whole one.
#define CK_SUM_ROWS 128

/// sums ← keep · sums + scale · (sum of the rows of the matrix x), the rows added first to last in blocks of `CK_SUM_ROWS`. With
/// keep = 0, old sums are not read.
void ck_column_sums(const float *x, size_t rows, size_t columns, float scale, float *sums, float keep);

/// In how many rows of the matrix x the largest number, the first of equals, is finite and at the row's place. A row with NaN does not
/// count, nor one whose place is no column.
/// - row: how many floats lie from one row to the next.
size_t ck_count_hits(const float *x, ptrdiff_t row, size_t rows, size_t columns, const int32_t *places);

#endif
