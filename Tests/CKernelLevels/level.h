// Compiles the kernels on blocks for the level CK_DISPATCHED asks for, and makes LEVEL of them, called NAME.

#define BACKTRAIL_DISPATCH_H
#define INLINED static inline __attribute__((always_inline))
#pragma STDC FP_CONTRACT OFF

#define ck_make_code NAMED(make_code)
#define ck_encode_blocks NAMED(encode_blocks)
#define ck_decode_blocks NAMED(decode_blocks)
#define ck_momentum NAMED(momentum)
#define ck_nesterov NAMED(nesterov)
#define ck_adam NAMED(adam)
#define ck_rmsprop NAMED(rmsprop)
#define ck_momentum_blocks NAMED(momentum_blocks)
#define ck_nesterov_blocks NAMED(nesterov_blocks)
#define ck_adam_blocks NAMED(adam_blocks)
#define ck_rmsprop_blocks NAMED(rmsprop_blocks)

#include "../../Sources/CKernels/block_codes.c"
#include "../../Sources/CKernels/optimizers.c"
#include "kernel_levels.h"

const kl_level NAMED(level) = {
  NAME, ck_encode_blocks, ck_decode_blocks, ck_momentum_blocks, ck_nesterov_blocks, ck_adam_blocks, ck_rmsprop_blocks,
};
