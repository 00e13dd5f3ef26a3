#ifndef BACKTRAIL_CHECKPOINT_H
#define BACKTRAIL_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The filters of the checkpoint format, undone; `FloatSplit` and `FloatDifference` have the formats. No memory overlaps.

/// Puts floats together from the planes of `FloatSplit`.
///
/// - planes: count symbols; count middles, or 3 ⌈count / 4⌉ bytes of packed ones if `fine`; count lows of `low_size` bytes.
/// - bias: what is added to a symbol to make a head.
/// - low_size: 2 (float32), 1 (float16) or 0 (bfloat16).
void ck_split_join(
  const uint8_t *planes, size_t count, bool fine, uint32_t bias, int low_size, uint32_t *bits);

/// Bytes that `ck_difference_apply` may read behind the last of the offsets.
enum { CK_DIFFERENCE_SLACK = 64 };

/// Adds the differences of `FloatDifference` to the floats in `bits`, whose last `dropped` bits are not stored.
///
/// - buckets: count bytes.
/// - offsets: memory of ⌈30 count / 8⌉ + CK_DIFFERENCE_SLACK bytes, whatever the buckets say.
/// - Returns the number of bits that the offsets have.
uint64_t ck_difference_apply(
  const uint8_t *buckets, const uint8_t *offsets, size_t count, int dropped, uint32_t *bits);

/// `ck_difference_apply` without instructions of one kind of processor; the first offset is at `position`, in bits.
uint64_t ck_difference_apply_portable(
  const uint8_t *buckets, const uint8_t *offsets, uint64_t position, size_t count, int dropped, uint32_t *bits);

/// Rounds floats to bfloat16, to nearest even, and stores 16 bits each. NaN stay NaN.
void ck_pack_bfloat16(const float *x, size_t count, void *packed);

/// Rounds floats as `ck_pack_bfloat16` does, where they are.
void ck_round_bfloat16(float *x, size_t count);

/// The inverse of `ck_pack_bfloat16`.
void ck_unpack_bfloat16(const void *packed, size_t count, float *x);

/// Rounds floats to IEEE 754 binary16, to nearest even, and stores 16 bits each. Magnitudes from 65520 become infinite.
void ck_pack_float16(const float *x, size_t count, void *packed);

/// The inverse of `ck_pack_float16`.
void ck_unpack_float16(const void *packed, size_t count, float *x);

#endif
