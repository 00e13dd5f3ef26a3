#include "optimizers.h"

#include "dispatch.h"

CK_DISPATCHED
void ck_momentum(float *x, const float *g, float *v, float rate, float mu, size_t count) {
  for (size_t i = 0; i < count; i++) {
    v[i] = mu * v[i] + g[i];
    x[i] -= rate * v[i];
  }
}

CK_DISPATCHED
void ck_nesterov(float *x, const float *g, float *v, float rate, float mu, size_t count) {
  for (size_t i = 0; i < count; i++) {
    v[i] = mu * v[i] + g[i];
    x[i] -= rate * (g[i] + mu * v[i]);
  }
}

CK_DISPATCHED
void ck_adam(
    float *x, const float *g, float *m, float *s, float rate, float beta1, float beta2, float square_scale,
    float epsilon, size_t count) {
  for (size_t i = 0; i < count; i++) {
    m[i] += (1 - beta1) * (g[i] - m[i]);
    s[i] = beta2 * s[i] + (1 - beta2) * g[i] * g[i];
    x[i] -= rate * m[i] / (square_scale * __builtin_elementwise_sqrt(s[i]) + epsilon);
  }
}

CK_DISPATCHED
void ck_rmsprop(float *x, const float *g, float *s, float rate, float alpha, float epsilon, size_t count) {
  for (size_t i = 0; i < count; i++) {
    s[i] = alpha * s[i] + (1 - alpha) * g[i] * g[i];
    x[i] -= rate * g[i] / (__builtin_elementwise_sqrt(s[i]) + epsilon);
  }
}
