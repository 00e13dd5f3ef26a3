#include "block_kernels.h"

#include <stdlib.h>

/// The bits of the largest float that is no nearer to the number of code m + 1 than to that of code m, of 0 ..< count.
static uint32_t midpoint_bits(const ck_code *code, uint32_t m, int count) {
  if ((int)m + 1 >= count) return 0x7f800000;
  // In double precision this is exact.
  const double middle = ((double)code->values[m] + (double)code->values[m + 1]) / 2;
  const float nearest = (float)middle;
  return bits_of(nearest) - ((double)nearest > middle ? 1 : 0);
}

/// The positive numbers are 1 and, for e from 0 to 6, the middles of c equal parts of the decade from 0.1 to 1, times 10^(e − 6), where
/// c is 2^e, or 2^(e + 1) without negative numbers.
const ck_code *ck_make_code(bool is_signed) {
  ck_code *code = calloc(1, sizeof *code);
  if (!code) return NULL;
  code->is_signed = is_signed;
  int count = 1;
  double decade = 1e6;
  for (int e = 0; e < 7; e++, decade /= 10) {
    const int parts = is_signed ? 1 << e : 2 << e;
    for (int k = 0; k < parts; k++) code->values[count++] = (float)((2 * parts + 9 * (2 * k + 1)) / (20 * parts * decade));
  }
  code->values[count++] = 1;
  uint32_t nearest = 0;
  for (uint32_t bucket = 0; bucket < CK_BUCKETS; bucket++) {
    const uint32_t place = CK_FIRST_BUCKET + bucket;
    uint32_t midpoint = midpoint_bits(code, nearest, count);
    if (midpoint < place << 16) midpoint = midpoint_bits(code, ++nearest, count);
    code->buckets[bucket] = nearest << 16 | (midpoint >> 16 == place ? 0xffff - (midpoint & 0xffff) : 0);
  }
  if (is_signed) {
    for (int m = 1; m < 128; m++) code->values[256 - m] = -code->values[m];
  }
  return code;
}

INLINED void encode_blocks(const ck_code *code, bool is_signed, const float *x, size_t count, float *blocks) {
  for (size_t first = 0; first < count; first += CK_BLOCK, blocks += CK_BLOCK_FLOATS) {
    encode_block(code, is_signed, x + first, count - first < CK_BLOCK ? count - first : CK_BLOCK, blocks);
  }
}

CK_DISPATCHED(
  void, ck_encode_blocks, (const ck_code *code, const float *x, size_t count, float *blocks),
  (code, x, count, blocks)) {
  if (code->is_signed) {
    encode_blocks(code, true, x, count, blocks);
  } else {
    encode_blocks(code, false, x, count, blocks);
  }
}

CK_DISPATCHED(
  void, ck_decode_blocks, (const ck_code *code, const float *blocks, size_t count, float *x),
  (code, blocks, count, x)) {
  for (size_t first = 0; first < count; first += CK_BLOCK, blocks += CK_BLOCK_FLOATS) {
    decode_block(code, blocks, count - first < CK_BLOCK ? count - first : CK_BLOCK, x + first);
  }
}
