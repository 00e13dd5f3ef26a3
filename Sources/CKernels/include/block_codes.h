#ifndef BACKTRAIL_BLOCK_CODES_H
#define BACKTRAIL_BLOCK_CODES_H

#include <stdbool.h>
#include <stddef.h>

// Numbers in 8 bits, block by block. `SlotPrecision` has the format.

/// Numbers in a block, and the floats that a whole block takes: its scale, and the codes, four in a float's place.
enum { CK_BLOCK = 256, CK_BLOCK_FLOATS = 1 + CK_BLOCK / 4 };

/// The numbers that codes stand for, with what finds the nearest one.
typedef struct ck_code ck_code;

/// Makes the code of numbers from −1 to 1, or of those from 0 to 1. It is never freed.
/// - Returns NULL when there is no memory.
const ck_code *ck_make_code(bool is_signed);

/// Encodes count numbers, the first of which begins a block.
void ck_encode_blocks(const ck_code *code, const float *x, size_t count, float *blocks);

/// Decodes count numbers, the first of which begins a block.
void ck_decode_blocks(const ck_code *code, const float *blocks, size_t count, float *x);

#endif
