#ifndef BACKTRAIL_ELEMENTWISE_H
#define BACKTRAIL_ELEMENTWISE_H

#include <stddef.h>

/// x ← max(x, 0), element by element; NaN stays NaN.
void ck_rectify(float *x, size_t count);

#endif
