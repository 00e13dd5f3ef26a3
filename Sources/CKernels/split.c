#include "checkpoint.h"

#include <string.h>

#include "dispatch.h"

/// Puts `count` floats together. Inlined, so that the shifts are constants and each loop is vectorised by itself.
///
/// - tops: null, or where the two upper bits of the bytes at 0, `stride` and 2 · `stride` are the middles.
INLINED void join(
  const uint8_t *restrict symbols, const uint8_t *restrict middles, const uint8_t *restrict tops, size_t stride,
  const uint8_t *restrict lows, size_t count, bool fine, uint32_t bias, int low_size, uint32_t *restrict bits
) {
  const unsigned head_shift = fine ? 21 : 23;
  // The middle's sign is the bit above those of the mantissa.
  const unsigned sign_shift = head_shift - 16;
  for (size_t i = 0; i < count; i++) {
    uint32_t middle;
    if (tops) {
      middle = tops[i] >> 6 | tops[i + stride] >> 6 << 2 | tops[i + 2 * stride] >> 6 << 4;
    } else {
      middle = middles[i] & ((1u << (sign_shift + 1)) - 1);
    }
    const uint32_t symbol = symbols[i];
    const uint32_t head = symbol ? symbol + bias : 0;
    const uint32_t mantissa = middle & ((1u << sign_shift) - 1);
    uint32_t value = middle >> sign_shift << 31 | (head << head_shift & 0x7fffffff) | mantissa << 16;
    if (low_size == 2) {
      uint16_t low;
      memcpy(&low, lows + 2 * i, 2);
      value |= low;
    } else if (low_size == 1) {
      value |= (uint32_t)(lows[i] & 7) << 13;
    }
    bits[i] = value;
  }
}

INLINED void join_planes(
  const uint8_t *planes, size_t count, bool fine, uint32_t bias, int low_size, uint32_t *bits
) {
  const uint8_t *middles = planes + count;
  if (!fine) {
    join(planes, middles, 0, 0, middles + count, count, false, bias, low_size, bits);
    return;
  }
  // Four middles in three bytes: the lower six bits of each, and the upper two of all three.
  const size_t quarter = (count + 3) / 4;
  const uint8_t *lows = middles + 3 * quarter;
  for (size_t part = 0; part < 4; part++) {
    // The last quarters of few floats may be short or empty.
    const size_t start = part * quarter < count ? part * quarter : count;
    const size_t length = count - start < quarter ? count - start : quarter;
    if (part < 3) {
      join(
        planes + start, middles + start, 0, 0, lows + low_size * start, length, true, bias, low_size, bits + start);
    } else {
      join(
        planes + start, 0, middles, quarter, lows + low_size * start, length, true, bias, low_size, bits + start);
    }
  }
}

CK_DISPATCHED(
  void, ck_split_join, (const uint8_t *planes, size_t count, bool fine, uint32_t bias, int low_size, uint32_t *bits),
  (planes, count, fine, bias, low_size, bits)) {
  if (low_size == 2) {
    if (fine) join_planes(planes, count, true, bias, 2, bits);
    else join_planes(planes, count, false, bias, 2, bits);
  } else if (low_size == 1) {
    if (fine) join_planes(planes, count, true, bias, 1, bits);
    else join_planes(planes, count, false, bias, 1, bits);
  } else {
    if (fine) join_planes(planes, count, true, bias, 0, bits);
    else join_planes(planes, count, false, bias, 0, bits);
  }
}
