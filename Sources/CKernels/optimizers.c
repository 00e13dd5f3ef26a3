#include "optimizers.h"

#include "block_kernels.h"

INLINED void momentum(float *x, const float *g, float *v, float rate, float mu, size_t count) {
  for (size_t i = 0; i < count; i++) {
    v[i] = mu * v[i] + g[i];
    x[i] -= rate * v[i];
  }
}

INLINED void nesterov(float *x, const float *g, float *v, float rate, float mu, size_t count) {
  for (size_t i = 0; i < count; i++) {
    v[i] = mu * v[i] + g[i];
    x[i] -= rate * (g[i] + mu * v[i]);
  }
}

INLINED void adam(
    float *x, const float *g, float *m, float *s, float rate, float beta1, float beta2, float square_scale,
    float epsilon, size_t count) {
  for (size_t i = 0; i < count; i++) {
    m[i] += (1 - beta1) * (g[i] - m[i]);
    s[i] = beta2 * s[i] + (1 - beta2) * g[i] * g[i];
    x[i] -= rate * m[i] / (square_scale * __builtin_elementwise_sqrt(s[i]) + epsilon);
  }
}

INLINED void rmsprop(float *x, const float *g, float *s, float rate, float alpha, float epsilon, size_t count) {
  for (size_t i = 0; i < count; i++) {
    s[i] = alpha * s[i] + (1 - alpha) * g[i] * g[i];
    x[i] -= rate * g[i] / (__builtin_elementwise_sqrt(s[i]) + epsilon);
  }
}

CK_DISPATCHED(
  void, ck_momentum, (float *x, const float *g, float *v, float rate, float mu, size_t count),
  (x, g, v, rate, mu, count)) {
  momentum(x, g, v, rate, mu, count);
}

CK_DISPATCHED(
  void, ck_nesterov, (float *x, const float *g, float *v, float rate, float mu, size_t count),
  (x, g, v, rate, mu, count)) {
  nesterov(x, g, v, rate, mu, count);
}

CK_DISPATCHED(
  void, ck_adam, (float *x, const float *g, float *m, float *s, float rate, float beta1, float beta2, float square_scale,
    float epsilon, size_t count),
  (x, g, m, s, rate, beta1, beta2, square_scale, epsilon, count)) {
  adam(x, g, m, s, rate, beta1, beta2, square_scale, epsilon, count);
}

CK_DISPATCHED(
  void, ck_rmsprop, (float *x, const float *g, float *s, float rate, float alpha, float epsilon, size_t count),
  (x, g, s, rate, alpha, epsilon, count)) {
  rmsprop(x, g, s, rate, alpha, epsilon, count);
}

/// Runs BODY for one block after the other: its numbers are x[0 ..< length] and g[0 ..< length].
#define FOR_BLOCKS(BODY)                                            \
  for (; count > 0; x += CK_BLOCK, g += CK_BLOCK) {                 \
    const size_t length = count < CK_BLOCK ? count : CK_BLOCK;      \
    BODY                                                            \
    count -= length;                                                \
  }

CK_DISPATCHED(
  void, ck_momentum_blocks, (float *x, const float *g, float *v, const ck_code *code, float rate, float mu, size_t count),
  (x, g, v, code, rate, mu, count)) {
  float numbers[CK_BLOCK];
  FOR_BLOCKS({
    decode_block(code, v, length, numbers);
    momentum(x, g, numbers, rate, mu, length);
    encode_block(code, true, numbers, length, v);
    v += CK_BLOCK_FLOATS;
  })
}

CK_DISPATCHED(
  void, ck_nesterov_blocks, (float *x, const float *g, float *v, const ck_code *code, float rate, float mu, size_t count),
  (x, g, v, code, rate, mu, count)) {
  float numbers[CK_BLOCK];
  FOR_BLOCKS({
    decode_block(code, v, length, numbers);
    nesterov(x, g, numbers, rate, mu, length);
    encode_block(code, true, numbers, length, v);
    v += CK_BLOCK_FLOATS;
  })
}

CK_DISPATCHED(
  void, ck_adam_blocks, (float *x, const float *g, float *m, float *s, const ck_code *mean_code, const ck_code *square_code,
    float rate, float beta1, float beta2, float square_scale, float epsilon, size_t count),
  (x, g, m, s, mean_code, square_code, rate, beta1, beta2, square_scale, epsilon, count)) {
  float means[CK_BLOCK];
  float squares[CK_BLOCK];
  FOR_BLOCKS({
    decode_block(mean_code, m, length, means);
    decode_block(square_code, s, length, squares);
    adam(x, g, means, squares, rate, beta1, beta2, square_scale, epsilon, length);
    encode_block(mean_code, true, means, length, m);
    encode_block(square_code, false, squares, length, s);
    m += CK_BLOCK_FLOATS;
    s += CK_BLOCK_FLOATS;
  })
}

CK_DISPATCHED(
  void, ck_rmsprop_blocks, (float *x, const float *g, float *s, const ck_code *code, float rate, float alpha, float epsilon,
    size_t count),
  (x, g, s, code, rate, alpha, epsilon, count)) {
  float squares[CK_BLOCK];
  FOR_BLOCKS({
    decode_block(code, s, length, squares);
    rmsprop(x, g, squares, rate, alpha, epsilon, length);
    encode_block(code, false, squares, length, s);
    s += CK_BLOCK_FLOATS;
  })
}
