#ifndef BACKTRAIL_BLOCK_KERNELS_H
#define BACKTRAIL_BLOCK_KERNELS_H

#include "block_codes.h"
#include "float_bits.h"

// Parts of the dispatched functions that work on blocks of codes.

/// Where the nearest magnitude is looked for: floats with the same sign, exponent and 7 leading bits of the fraction share a bucket,
/// and no bucket has more than one midpoint. The first bucket holds 2⁻²³ and everything below, the last one only 1.
enum { CK_BUCKET_SHIFT = 16, CK_FIRST_BUCKET = 0x3400, CK_BUCKETS = 0x3f80 - CK_FIRST_BUCKET + 1 };

struct ck_code {
  bool is_signed;
  /// What each code stands for. Code 0 is 0. Codes from 1 are the positive numbers, ascending; where there are negative numbers, code
  /// 256 − m is the opposite of code m, for m from 1 to 127.
  float values[256];
  /// midpoints[m] lies between the numbers of the codes m and m + 1, rounded towards 0 to a float; infinite behind the largest.
  float midpoints[256];
  /// How many midpoints lie below each bucket's floats.
  uint8_t below[CK_BUCKETS];
};

/// The count ≤ CK_BLOCK numbers of a block.
INLINED void decode_block(const ck_code *restrict code, const float *restrict block, size_t count, float *restrict x) {
  const float scale = block[0];
  const uint8_t *restrict codes = (const uint8_t *)(block + 1);
  for (size_t i = 0; i < count; i++) x[i] = code->values[codes[i]] * scale;
}

/// Gives a block of count ≤ CK_BLOCK numbers the nearest codes, of two equally near ones that of the smaller magnitude. A block with a
/// number that is not finite gets the scale NaN, and so decodes to nothing else.
INLINED void encode_block(
    const ck_code *restrict code, bool is_signed, const float *restrict x, size_t count, float *restrict block) {
  uint8_t *restrict codes = (uint8_t *)(block + 1);
  // As integers, magnitudes are in order, with what is not finite at the end.
  uint32_t largest = 0;
  for (size_t i = 0; i < count; i++) {
    const uint32_t magnitude = bits_of(x[i]) & 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
  }
  const bool is_finite = largest < 0x7f800000;
  block[0] = float_of(is_finite ? largest : 0x7fc00000);
  if (!is_finite || largest == 0) {
    memset(codes, 0, count);
    return;
  }
  const float scale = block[0];
  float parts[CK_BLOCK];
  for (size_t i = 0; i < count; i++) parts[i] = float_of(bits_of(x[i]) & 0x7fffffff) / scale;
  for (size_t i = 0; i < count; i++) {
    const uint32_t bucket = bits_of(parts[i]) >> CK_BUCKET_SHIFT;
    uint32_t magnitude = code->below[bucket < CK_FIRST_BUCKET ? 0 : bucket - CK_FIRST_BUCKET];
    magnitude += parts[i] > code->midpoints[magnitude];
    if (is_signed) {
      const uint32_t is_negative = bits_of(x[i]) >> 31;
      // 1 has no opposite.
      magnitude -= is_negative & (magnitude >> 7);
      codes[i] = (uint8_t)((magnitude ^ -is_negative) + is_negative);
    } else {
      // Updates divide by these numbers: one that is positive stays so.
      magnitude += (magnitude == 0) & (x[i] > 0);
      codes[i] = (uint8_t)magnitude;
    }
  }
}

#endif
