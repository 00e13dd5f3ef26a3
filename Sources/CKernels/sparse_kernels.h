// Products whose rows of A are mostly zero, such as images with a black ground, included by `matrix_kernels.h` once for each level of
// SIMD.

/// Which of up to 64 floats are not zero, the first in the lowest bit.
CK_INLINE uint64_t CK_LEVEL(nonzero_mask)(const float *x, ptrdiff_t length) {
  typedef uint32_t bits __attribute__((vector_size(64), aligned(4)));
  typedef bool mask __attribute__((ext_vector_type(16)));
  uint64_t found = 0;
  ptrdiff_t k = 0;
  for (; k + 16 <= length; k += 16) {
    // All bits but signs.
    const mask any = __builtin_convertvector((*(const bits *)(x + k) << 1) != 0, mask);
    found |= (uint64_t)__builtin_bit_cast(uint16_t, any) << k;
  }
  for (; k < length; k++) found |= (uint64_t)(x[k] != 0) << k;
  return found;
}

/// Up to CK_SPARSE_TERMS terms of `rows` rows of sums. Each row looks up its own terms, so that a row of A costs what is not zero in it,
/// and these rows of b stay in the innermost cache.
CK_INLINE void CK_LEVEL(sparse)(int vectors, const ck_tile *tile, const ck_sparse_terms *terms, size_t rows, float *sums) {
  const float *a = terms->a;
  uint64_t next = CK_LEVEL(nonzero_mask)(a, terms->length);
  for (size_t r = 0; r < rows; r++, a += terms->a_row, sums += vectors * CK_WIDTH) {
    uint64_t left = next;
    // It is ready when the number of this row's terms has surprised the processor.
    if (r + 1 < rows) next = CK_LEVEL(nonzero_mask)(a + terms->a_row, terms->length);
    if (left == 0 && !terms->are_first && !terms->are_last) continue;
    CK_LEVEL(vector) sum[CK_SPARSE_VECTORS];
    CK_UNROLL
    for (int v = 0; v < vectors; v++)
      sum[v] = terms->are_first ? (CK_LEVEL(vector)){0} : *(const CK_LEVEL(vector) *)(sums + v * CK_WIDTH);
    for (; left != 0; left &= left - 1) {
      const int k = __builtin_ctzll(left);
      const float x = a[k];
      const float *b = terms->b + k * terms->b_row;
      CK_UNROLL
      for (int v = 0; v < vectors; v++) sum[v] += x * *(const CK_LEVEL(vector) *)(b + v * CK_WIDTH);
    }
    if (terms->are_last) {
      float *c = terms->c + (ptrdiff_t)r * terms->c_row;
      CK_LEVEL(finish)(sum, 1, vectors, tile, 0, &c);
      continue;
    }
    CK_UNROLL
    for (int v = 0; v < vectors; v++) *(CK_LEVEL(vector) *)(sums + v * CK_WIDTH) = sum[v];
  }
}

#define CK_SPARSE(vectors)                                                                                                   \
  static CK_TARGET void CK_LEVEL(sparse_##vectors)(                                                                          \
    const ck_tile *tile, const ck_sparse_terms *terms, size_t rows, float *sums) {                                           \
    CK_LEVEL(sparse)(vectors, tile, terms, rows, sums);                                                                      \
  }
CK_SPARSE(1) CK_SPARSE(2) CK_SPARSE(3) CK_SPARSE(4) CK_SPARSE(5) CK_SPARSE(6) CK_SPARSE(7) CK_SPARSE(8)
#undef CK_SPARSE

/// How many of the floats are not zero.
static CK_TARGET size_t CK_LEVEL(count_nonzero)(const float *x, size_t count) {
  size_t found = 0;
  for (size_t k = 0; k < count; k += 64)
    found += (size_t)__builtin_popcountll(CK_LEVEL(nonzero_mask)(x + k, (ptrdiff_t)ck_least(64, count - k)));
  return found;
}
