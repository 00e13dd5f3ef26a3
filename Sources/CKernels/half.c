#include "checkpoint.h"

#include "float_bits.h"

/// The bits of a float whose upper 16 are those of the nearest bfloat16, of two the even one. NaN stay NaN.
INLINED uint32_t nearest_bfloat16(uint32_t bits) {
  const uint32_t nearest = bits + 0x7fff + (bits >> 16 & 1);
  return (bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : nearest;
}

CK_DISPATCHED(void, ck_pack_bfloat16, (const float *restrict x, size_t count, void *restrict packed), (x, count, packed)) {
  uint16_t *restrict halves = packed;
  for (size_t i = 0; i < count; i++) halves[i] = nearest_bfloat16(bits_of(x[i])) >> 16;
}

CK_DISPATCHED(void, ck_round_bfloat16, (float *x, size_t count), (x, count)) {
  for (size_t i = 0; i < count; i++) x[i] = float_of(nearest_bfloat16(bits_of(x[i])) & 0xffff0000);
}

CK_DISPATCHED(void, ck_unpack_bfloat16, (const void *restrict packed, size_t count, float *restrict x), (packed, count, x)) {
  const uint16_t *restrict halves = packed;
  for (size_t i = 0; i < count; i++) x[i] = float_of((uint32_t)halves[i] << 16);
}

CK_DISPATCHED(void, ck_pack_float16, (const float *restrict x, size_t count, void *restrict packed), (x, count, packed)) {
  uint16_t *restrict halves = packed;
  for (size_t i = 0; i < count; i++) {
    const uint32_t bits = bits_of(x[i]);
    const uint32_t magnitude = bits & 0x7fffffff;
    // Exponents differ by 112. What is too large becomes infinite.
    const uint32_t nearest = ((magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13) - (112 << 10);
    const uint32_t normal = nearest > 0x7c00 ? 0x7c00 : nearest;
    // Below 2^-14 binary16 has the fixed step 2^-24, which is float32's own step at 1/2: adding 1/2 rounds.
    const uint32_t small = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000;
    const uint32_t number = magnitude < 0x38800000 ? small : normal;
    const uint32_t nan = 0x7e00 | (magnitude >> 13 & 0x3ff);
    halves[i] = (bits >> 16 & 0x8000) | (magnitude > 0x7f800000 ? nan : number);
  }
}

CK_DISPATCHED(void, ck_unpack_float16, (const void *restrict packed, size_t count, float *restrict x), (packed, count, x)) {
  const uint16_t *restrict halves = packed;
  for (size_t i = 0; i < count; i++) {
    const uint32_t magnitude = halves[i] & 0x7fff;
    const uint32_t small = bits_of(float_of(magnitude + 0x3f000000) - 0.5f);
    const uint32_t special = 0x7f800000 | (magnitude & 0x3ff) << 13;
    const uint32_t normal = (magnitude << 13) + 0x38000000;
    const uint32_t number = magnitude < 0x400 ? small : magnitude < 0x7c00 ? normal : special;
    x[i] = float_of((uint32_t)(halves[i] & 0x8000) << 16 | number);
  }
}
