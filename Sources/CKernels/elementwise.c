#include "elementwise.h"

#include "dispatch.h"

CK_DISPATCHED
void ck_rectify(float *x, size_t count) {
  for (size_t i = 0; i < count; i++) x[i] = x[i] < 0 ? 0 : x[i];
}
