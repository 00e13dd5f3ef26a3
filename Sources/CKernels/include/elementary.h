#ifndef BACKTRAIL_ELEMENTARY_H
#define BACKTRAIL_ELEMENTARY_H

#include <stddef.h>
#include <stdint.h>

// Elementary functions in double precision, made of the operations alone whose results IEEE 754 fixes: +, −, ×, ÷ and those on bits.
// So their bits are the same on every machine, which a C library does not promise. Errors are in ulp, the distance of a result
// to its neighbour. NaN gives NaN.

/// eˣ, with an error below 1 ulp; 0 and ∞ where it leaves the range of numbers.
double ck_exponential(double x);

/// ln x, with an error below 1 ulp. −∞ for 0, and NaN for negative numbers.
double ck_logarithm(double x);

/// ln (1 + x) for x from 0 to 1, with an error below 1.5 ulp.
double ck_logarithm_of_sum(double x);

/// The sine and the cosine of 2π · turns, for |turns| ≤ 2⁵⁰, with errors below 1 ulp. At multiples of a quarter they are exact.
void ck_turn(double turns, double *sine, double *cosine);

/// xⁿ by repeated squaring: its relative error is below n · 2⁻⁵².
double ck_whole_power(double x, uint64_t n);

/// xʸ for x ≥ 0, as exp(y ln x): its relative error is below (1 + 2 |y ln x|) · 2⁻⁵².
double ck_power(double x, double y);

/// What exponentials and their arguments add up to, in a fixed order.
typedef struct {
  /// Of the exponentials, in double and in single precision.
  double powers;
  float single_powers;
  /// Of x.
  double numbers;
} ck_exponential_sums;

/// powers ← exp(x − origin), with errors below 0.51 ulp of single precision, and their sums. Powers may be x, or NULL, and sums NULL.
void ck_exponentials(const float *x, size_t count, float origin, float *powers, ck_exponential_sums *sums);

/// The most logits of a row for `ck_add_cross_entropies`.
#define CK_FEW_LOGITS 16

/// sum + Σ (log Σ exp(x) − x_c), one row after the other, over the rows of 1 to CK_FEW_LOGITS logits x, with c the row's class. Each term
/// has the bits of `ck_exponentials` from the row's largest logit, or 0 where that is −∞, and of `ck_logarithm`.
/// - row: how many floats lie from one row to the next.
/// - classes: for each row one of its columns.
double ck_add_cross_entropies(
    const float *logits, ptrdiff_t row, size_t rows, size_t columns, const int32_t *classes, double sum);

#endif
