#ifndef BACKTRAIL_CKERNELS_H
#define BACKTRAIL_CKERNELS_H

#include "allocator.h"
#include "batch_normalization.h"
#include "block_codes.h"
#include "checkpoint.h"
#include "elementary.h"
#include "elementwise.h"
#include "images.h"
#include "levels.h"
#include "matrix.h"
#include "optimizers.h"
#include "pages.h"
#include "transformer.h"
#include "winograd.h"

#endif
