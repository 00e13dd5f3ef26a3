// The transforms of Winograd's F(4 × 4, 3 × 3) (Winograd 1980; Lavin and Gray 2016, "Fast Algorithms for Convolutional
// Neural Networks"), included by `matrix_kernels.h` once for each level of SIMD.
//
// Polynomials are evaluated at 0, ±√½, ±√2 and ∞ in place of the usual 0, ±1, ±2 and ∞: that halves the error, to two to five
// times a direct sum's. In one dimension, out = Aᵀ((G w) ∘ (Bᵀ x)), with x of 6, w of 3 and out of 4;
// its gradients are the same matrices transposed.

#define CK_ROOT_HALF 0.70710678118654752440f
#define CK_ROOT_TWO 1.41421356237309504880f

/// y ← Bᵀ x: 6 of an image to 6.
CK_INLINE void CK_LEVEL(winograd_image)(const CK_LEVEL(vector) *x, int step, CK_LEVEL(vector) *y) {
  CK_LEVEL(vector) even = x[4 * step] - 2 * x[2 * step], odd = CK_ROOT_HALF * x[3 * step] - CK_ROOT_TWO * x[step];
  CK_LEVEL(vector) even2 = x[4 * step] - 0.5f * x[2 * step], odd2 = CK_ROOT_TWO * x[3 * step] - CK_ROOT_HALF * x[step];
  y[0] = x[0] - 2.5f * x[2 * step] + x[4 * step];
  y[1] = even + odd;
  y[2] = even - odd;
  y[3] = even2 + odd2;
  y[4] = even2 - odd2;
  y[5] = x[step] - 2.5f * x[3 * step] + x[5 * step];
}

/// y ← Aᵀ x: 6 products to 4 of the output.
CK_INLINE void CK_LEVEL(winograd_output)(const CK_LEVEL(vector) *x, int step, CK_LEVEL(vector) *y) {
  CK_LEVEL(vector) sum = x[step] + x[2 * step], difference = x[step] - x[2 * step];
  CK_LEVEL(vector) sum2 = x[3 * step] + x[4 * step], difference2 = x[3 * step] - x[4 * step];
  y[0] = x[0] + sum + sum2;
  y[1] = CK_ROOT_HALF * difference + CK_ROOT_TWO * difference2;
  y[2] = 0.5f * sum + 2 * sum2;
  y[3] = 0.5f * CK_ROOT_HALF * difference + 2 * CK_ROOT_TWO * difference2 + x[5 * step];
}

/// y ← A x: 4 of the output's gradient to 6.
CK_INLINE void CK_LEVEL(winograd_output_gradient)(const CK_LEVEL(vector) *x, int step, CK_LEVEL(vector) *y) {
  CK_LEVEL(vector) even = x[0] + 0.5f * x[2 * step], even2 = x[0] + 2 * x[2 * step];
  CK_LEVEL(vector) odd = CK_ROOT_HALF * x[step] + 0.5f * CK_ROOT_HALF * x[3 * step];
  CK_LEVEL(vector) odd2 = CK_ROOT_TWO * x[step] + 2 * CK_ROOT_TWO * x[3 * step];
  y[0] = x[0];
  y[1] = even + odd;
  y[2] = even - odd;
  y[3] = even2 + odd2;
  y[4] = even2 - odd2;
  y[5] = x[3 * step];
}

/// y ← G x: 3 weights to 6.
CK_INLINE void CK_LEVEL(winograd_weights)(const CK_LEVEL(vector) *x, int step, CK_LEVEL(vector) *y) {
  CK_LEVEL(vector) even = (-2.0f / 3) * x[0] - (1.0f / 3) * x[2 * step], odd = (-2.0f / 3 * CK_ROOT_HALF) * x[step];
  CK_LEVEL(vector) even2 = (1.0f / 6) * x[0] + (1.0f / 3) * x[2 * step], odd2 = (1.0f / 6 * CK_ROOT_TWO) * x[step];
  y[0] = x[0];
  y[1] = even + odd;
  y[2] = even - odd;
  y[3] = even2 + odd2;
  y[4] = even2 - odd2;
  y[5] = x[2 * step];
}

/// y ← Gᵀ x: 6 of the products' gradient to 3 weights.
CK_INLINE void CK_LEVEL(winograd_weights_gradient)(const CK_LEVEL(vector) *x, int step, CK_LEVEL(vector) *y) {
  CK_LEVEL(vector) sum = x[step] + x[2 * step], difference = x[step] - x[2 * step];
  CK_LEVEL(vector) sum2 = x[3 * step] + x[4 * step], difference2 = x[3 * step] - x[4 * step];
  y[0] = x[0] - (2.0f / 3) * sum + (1.0f / 6) * sum2;
  y[1] = (-2.0f / 3 * CK_ROOT_HALF) * difference + (1.0f / 6 * CK_ROOT_TWO) * difference2;
  y[2] = (1.0f / 3) * (sum2 - sum) + x[5 * step];
}

/// Transforms the columns of a square, then its rows: `from` × `from` vectors to `to` × `to`.
#define CK_BOTH_WAYS(transform, from, to, x, y)                                                 \
  {                                                                                             \
    CK_LEVEL(vector) columns[from * to];                                                        \
    CK_UNROLL                                                                                   \
    for (int j = 0; j < from; j++) CK_LEVEL(transform)(x + j, from, columns + j * to);          \
    CK_UNROLL                                                                                   \
    for (int i = 0; i < to; i++) CK_LEVEL(transform)(columns + i, to, y + i * to);              \
  }

#define CK_AT(pointer) (*(CK_LEVEL(vector) *)(pointer))
#define CK_READ(pointer) (*(const CK_LEVEL(vector) *)(pointer))

static CK_TARGET void CK_LEVEL(transform_image)(
  const float *const *pixels, size_t channels, float *transformed, size_t plane) {
  for (size_t c = 0; c < channels; c += CK_WIDTH) {
    CK_LEVEL(vector) x[36], y[36];
    CK_UNROLL
    for (int i = 0; i < 36; i++) x[i] = CK_READ(pixels[i] + c);
    CK_BOTH_WAYS(winograd_image, 6, 6, x, y)
    CK_UNROLL
    for (int i = 0; i < 36; i++) CK_AT(transformed + (size_t)i * plane + c) = y[i];
  }
}

static CK_TARGET void CK_LEVEL(transform_output)(
  const float *transformed, size_t plane, size_t channels, const float *bias, float *const *places) {
  for (size_t c = 0; c < channels; c += CK_WIDTH) {
    CK_LEVEL(vector) x[36], y[16], added = {0};
    CK_UNROLL
    for (int i = 0; i < 36; i++) x[i] = CK_READ(transformed + (size_t)i * plane + c);
    if (bias) added = CK_READ(bias + c);
    CK_BOTH_WAYS(winograd_output, 6, 4, x, y)
    CK_UNROLL
    for (int i = 0; i < 16; i++)
      if (places[i]) CK_AT(places[i] + c) = y[i] + added;
  }
}

static CK_TARGET void CK_LEVEL(transform_output_gradient)(
  const float *const *places, size_t channels, float *transformed, size_t plane) {
  for (size_t c = 0; c < channels; c += CK_WIDTH) {
    CK_LEVEL(vector) x[16], y[36];
    CK_UNROLL
    for (int i = 0; i < 16; i++) x[i] = CK_READ(places[i] + c);
    CK_BOTH_WAYS(winograd_output_gradient, 4, 6, x, y)
    CK_UNROLL
    for (int i = 0; i < 36; i++) CK_AT(transformed + (size_t)i * plane + c) = y[i];
  }
}

static CK_TARGET void CK_LEVEL(transform_weights)(
  const float *weights, ptrdiff_t tap, size_t count, float *transformed, size_t plane) {
  for (size_t c = 0; c < count; c += CK_WIDTH) {
    CK_LEVEL(vector) x[9], y[36];
    CK_UNROLL
    for (int i = 0; i < 9; i++) x[i] = CK_READ(weights + i * tap + (ptrdiff_t)c);
    CK_BOTH_WAYS(winograd_weights, 3, 6, x, y)
    CK_UNROLL
    for (int i = 0; i < 36; i++) CK_AT(transformed + (size_t)i * plane + c) = y[i];
  }
}

static CK_TARGET void CK_LEVEL(transform_weights_gradient)(
  const float *transformed, size_t plane, size_t count, float alpha, float beta, float *weights, size_t tap) {
  for (size_t c = 0; c < count; c += CK_WIDTH) {
    CK_LEVEL(vector) x[36], y[9];
    CK_UNROLL
    for (int i = 0; i < 36; i++) x[i] = CK_READ(transformed + (size_t)i * plane + c);
    CK_BOTH_WAYS(winograd_weights_gradient, 6, 3, x, y)
    CK_UNROLL
    for (int i = 0; i < 9; i++) {
      float *target = weights + (size_t)i * tap + c;
      CK_LEVEL(vector) value = alpha * y[i];
      CK_AT(target) = beta == 0 ? value : value + beta * CK_READ(target);
    }
  }
}

#undef CK_BOTH_WAYS
#undef CK_AT
#undef CK_READ
