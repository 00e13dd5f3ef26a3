#ifndef BACKTRAIL_CKERNELS_H
#define BACKTRAIL_CKERNELS_H

#include "checkpoint.h"
#include "elementwise.h"

#endif
