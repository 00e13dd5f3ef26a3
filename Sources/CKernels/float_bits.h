#ifndef BACKTRAIL_FLOAT_BITS_H
#define BACKTRAIL_FLOAT_BITS_H

#include <stdint.h>
#include <string.h>

#include "dispatch.h"

INLINED uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}

INLINED float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

#endif
