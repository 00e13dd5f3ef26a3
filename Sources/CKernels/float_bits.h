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

INLINED uint64_t bits_of_double(double x) {
  uint64_t bits;
  memcpy(&bits, &x, 8);
  return bits;
}

INLINED double double_of(uint64_t bits) {
  double x;
  memcpy(&x, &bits, 8);
  return x;
}

#endif
