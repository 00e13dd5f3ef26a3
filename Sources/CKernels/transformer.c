#include "transformer.h"

#include "dispatch.h"
#include "vector_math.h"

CK_DISPATCHED(
  void, ck_layer_norm, (const float *x, size_t rows, size_t columns, const float *weight, const float *bias, float epsilon,
    float *y, float *mean, float *inverse),
  (x, rows, columns, weight, bias, epsilon, y, mean, inverse)) {
  for (size_t r = 0; r < rows; r++) {
    float sum, squares;
    CK_LANE_SUM(sum, columns, x[i])
    float m = sum / columns;
    CK_LANE_SUM(squares, columns, (x[i] - m) * (x[i] - m))
    float scale = 1 / __builtin_elementwise_sqrt(squares / columns + epsilon);
    for (size_t c = 0; c < columns; c++) y[c] = weight[c] * ((x[c] - m) * scale) + bias[c];
    mean[r] = m;
    inverse[r] = scale;
    x += columns;
    y += columns;
  }
}

CK_DISPATCHED(
  void, ck_layer_norm_gradient, (const float *g, const float *x, size_t rows, size_t columns, const float *weight,
    const float *mean, const float *inverse, float *out, float *sums, float *products),
  (g, x, rows, columns, weight, mean, inverse, out, sums, products)) {
  memset(sums, 0, columns * sizeof(float));
  memset(products, 0, columns * sizeof(float));
  for (size_t r = 0; r < rows; r++) {
    float m = mean[r], scale = inverse[r];
    for (size_t c = 0; c < columns; c++) {
      sums[c] += g[c];
      products[c] += g[c] * ((x[c] - m) * scale);
    }
    if (out) {
      float plain, along;
      CK_LANE_SUM(plain, columns, g[i] * weight[i])
      CK_LANE_SUM(along, columns, g[i] * weight[i] * ((x[i] - m) * scale))
      plain /= columns;
      along /= columns;
      for (size_t c = 0; c < columns; c++) out[c] = scale * (g[c] * weight[c] - plain - (x[c] - m) * scale * along);
      out += columns;
    }
    g += columns;
    x += columns;
  }
}

CK_DISPATCHED(void, ck_gelu, (const float *x, float *y, size_t count), (x, y, count)) {
  for (size_t i = 0; i < count; i++) y[i] = x[i] * ck_normal_cdf(x[i], ck_exp(-0.5f * x[i] * x[i]));
}

CK_DISPATCHED(void, ck_gelu_gradient, (const float *g, const float *x, float *out, size_t count), (g, x, out, count)) {
  for (size_t i = 0; i < count; i++) {
    float power = ck_exp(-0.5f * x[i] * x[i]);
    out[i] = g[i] * (ck_normal_cdf(x[i], power) + x[i] * (0.398942280f * power));
  }
}

CK_DISPATCHED(void, ck_causal_softmax, (float *s, size_t rows, size_t columns, float scale), (s, rows, columns, scale)) {
  for (size_t r = 0; r < rows; r++) {
    size_t seen = columns - rows + r + 1;
    float largest = s[0];
    for (size_t c = 1; c < seen; c++) largest = s[c] > largest ? s[c] : largest;
    for (size_t c = 0; c < seen; c++) s[c] = ck_exp(scale * (s[c] - largest));
    float sum;
    CK_LANE_SUM(sum, seen, s[i])
    float factor = 1 / sum;
    for (size_t c = 0; c < seen; c++) s[c] *= factor;
    memset(s + seen, 0, (columns - seen) * sizeof(float));
    s += columns;
  }
}

CK_DISPATCHED(
  void, ck_causal_softmax_gradient, (const float *p, float *g, size_t rows, size_t columns, float scale),
  (p, g, rows, columns, scale)) {
  for (size_t r = 0; r < rows; r++) {
    size_t seen = columns - rows + r + 1;
    float sum;
    CK_LANE_SUM(sum, seen, p[i] * g[i])
    for (size_t c = 0; c < seen; c++) g[c] = scale * (p[c] * (g[c] - sum));
    memset(g + seen, 0, (columns - seen) * sizeof(float));
    p += columns;
    g += columns;
  }
}

// Blocks of four words side by side, so that the rounds of many counters run in SIMD.
enum { PHILOX_BLOCKS = 16 };

CK_DISPATCHED(
  void, ck_dropout, (const float *x, float *y, size_t count, uint32_t threshold, float factor, uint32_t key0, uint32_t key1,
    uint32_t counter1, uint32_t counter2, uint32_t counter3),
  (x, y, count, threshold, factor, key0, key1, counter1, counter2, counter3)) {
  for (size_t start = 0; start < count; start += 4 * PHILOX_BLOCKS) {
    uint32_t a[PHILOX_BLOCKS], b[PHILOX_BLOCKS], c[PHILOX_BLOCKS], d[PHILOX_BLOCKS];
    for (uint32_t i = 0; i < PHILOX_BLOCKS; i++) {
      a[i] = (uint32_t)(start / 4) + i;
      b[i] = counter1;
      c[i] = counter2;
      d[i] = counter3;
    }
    uint32_t k0 = key0, k1 = key1;
    for (int round = 0; round < 10; round++) {
      for (int i = 0; i < PHILOX_BLOCKS; i++) {
        uint64_t p = (uint64_t)a[i] * 0xD2511F53u, q = (uint64_t)c[i] * 0xCD9E8D57u;
        a[i] = (uint32_t)(q >> 32) ^ b[i] ^ k0;
        b[i] = (uint32_t)q;
        c[i] = (uint32_t)(p >> 32) ^ d[i] ^ k1;
        d[i] = (uint32_t)p;
      }
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    uint32_t words[4 * PHILOX_BLOCKS];
    for (int i = 0; i < PHILOX_BLOCKS; i++) {
      words[4 * i] = a[i];
      words[4 * i + 1] = b[i];
      words[4 * i + 2] = c[i];
      words[4 * i + 3] = d[i];
    }
    size_t length = count - start < 4 * PHILOX_BLOCKS ? count - start : 4 * PHILOX_BLOCKS;
    for (size_t i = 0; i < length; i++) y[start + i] = words[i] >= threshold ? x[start + i] * factor : 0;
  }
}
