#ifndef BACKTRAIL_VECTOR_MATH_H
#define BACKTRAIL_VECTOR_MATH_H

#include "float_bits.h"

// Functions without branches or calls, so that loops over them become SIMD, and every level of it gives the same bits.

/// eˣ with a relative error below 2⁻²² for x from −87 to 88; smaller x give 0, or nearly, larger ones about 2¹²⁷.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2, and eʳ by its Taylor polynomial of degree 7, whose remainder there is 5 · 10⁻⁹.
/// ln 2 comes in two parts, the first exact times any n (Cody and Waite 1980).
static inline float ck_exp(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  // Adding and taking away 1.5 · 2²³ rounds to the nearest whole number, which the last bits of the sum have.
  const float magic = 12582912.0f;
  float shifted = x * 1.44269504f + magic;
  float n = shifted - magic;
  float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * float_of((bits_of(shifted) + 127) << 23);
}

/// The distribution function Φ of the standard normal, with an absolute error below 2 · 10⁻⁷: by the rational
/// approximation of erf, 7.1.26 in Abramowitz and Stegun 1964.
/// - power: exp(−x² / 2), which callers need too.
static inline float ck_normal_cdf(float x, float power) {
  float z = (x < 0 ? -x : x) * 0.707106781f;
  float t = 1.0f / (1.0f + 0.3275911f * z);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  float tail = 0.5f * p * t * power;
  return x < 0 ? tail : 1.0f - tail;
}

// Sums run in LANES partial sums, which are added up first to last: a fixed order that SIMD can follow.
enum { LANES = 16 };

static inline float ck_add_lanes(const float *lanes) {
  float sum = 0;
  for (int i = 0; i < LANES; i++) sum += lanes[i];
  return sum;
}

/// The sum of TERM, an expression of i, for i in 0 ..< count.
#define CK_LANE_SUM(result, count, TERM)                          \
  {                                                               \
    float lanes_[LANES] = {0};                                    \
    size_t whole_ = (count) / LANES * LANES;                      \
    for (size_t start_ = 0; start_ < whole_; start_ += LANES)     \
      for (size_t lane_ = 0; lane_ < LANES; lane_++) {            \
        size_t i = start_ + lane_;                                \
        lanes_[lane_] += (TERM);                                  \
      }                                                           \
    for (size_t i = whole_; i < (count); i++)                     \
      lanes_[i - whole_] += (TERM);                               \
    result = ck_add_lanes(lanes_);                                \
  }

#endif
