#ifndef BACKTRAIL_CKERNELS_H
#define BACKTRAIL_CKERNELS_H

#include "elementwise.h"
#include "optimizers.h"

#endif
