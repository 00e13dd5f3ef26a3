#ifndef BACKTRAIL_BLOCK_KERNELS_H
#define BACKTRAIL_BLOCK_KERNELS_H

#include "block_codes.h"
#include "float_bits.h"

// Parts of the dispatched functions that work on blocks of codes.

/// Where the nearest number is looked for: magnitudes with the same 16 upper bits (exponent and 7 bits of the fraction) share a bucket, and
/// no bucket has more than one midpoint between two numbers. The first bucket holds all that is smaller too, and the last one only 1.
enum { CK_FIRST_BUCKET = 0x3400, CK_BUCKETS = 0x3f80 - CK_FIRST_BUCKET + 1 };

struct ck_code {
  bool is_signed;
  /// What each code stands for. Code 0 is 0. Codes from 1 are the positive numbers, ascending; where there are negative numbers, code
  /// 256 − m is the opposite of code m, for m from 1 to 127.
  float values[256];
  /// For each bucket the code nearest to its least float, times 2¹⁶, and what must be added to the lower 16 bits of a float with the next
  /// code to carry: 0 where no float of the bucket has another code.
  uint32_t buckets[CK_BUCKETS];
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
  // Updates divide by numbers without a sign: one that is positive stays so.
  const float least = is_signed ? 0 : code->values[1];
  for (size_t i = 0; i < count; i++) {
    const float part = float_of(bits_of(x[i]) & 0x7fffffff) / scale;
    parts[i] = x[i] > 0 && part < least ? least : part;
  }
  for (size_t i = 0; i < count; i++) {
    const uint32_t bits = bits_of(parts[i]);
    const uint32_t place = bits >> 16;
    const uint32_t bucket = code->buckets[place < CK_FIRST_BUCKET ? 0 : place - CK_FIRST_BUCKET];
    uint32_t magnitude = (bucket + (bits & 0xffff)) >> 16;
    if (is_signed) {
      const uint32_t is_negative = bits_of(x[i]) >> 31;
      // 1 has no opposite.
      magnitude -= is_negative & (magnitude >> 7);
      codes[i] = (uint8_t)((magnitude ^ -is_negative) + is_negative);
    } else {
      codes[i] = (uint8_t)magnitude;
    }
  }
}

#endif
