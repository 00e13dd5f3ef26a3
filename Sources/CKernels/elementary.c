#include "elementary.h"

#include "dispatch.h"
#include "vector_math.h"

/// x with only the first 26 bits of its significand, so that the product of two such numbers is exact.
INLINED double head(double x) { return double_of(bits_of_double(x) >> 27 << 27); }

// ln 2 in two parts: the first has 32 bits, so that whole multiples up to 2²¹ are exact (Cody and Waite 1980).
static const double log2_head = 0x1.62e42feep-1, log2_tail = 0x1.a39ef35793c76p-33;

/// Adding and taking away 1.5 · 2⁵² rounds to the nearest whole number, which the last bits of the sum have.
static const double magic = 0x1.8p52;

/// x = k ln 2 + r with |r| ≤ ln 2 / 2, and eʳ by its Taylor polynomial of degree 13, whose remainder there is 4 · 10⁻¹⁸. What
/// rounding takes from r, and its square and higher powers, are added to r before 1 is, so that they count little.
double ck_exponential(double x) {
  if (x != x) return x;
  x = x < -746 ? -746 : x;
  x = x > 710 ? 710 : x;
  const double shifted = x * 0x1.71547652b82fep0 + magic;
  const double k = shifted - magic;
  const double first = x - k * log2_head, rest = k * log2_tail;
  const double r = first - rest;
  double p = 1.0 / 6227020800;
  p = p * r + 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  const double power = 1 + (first + (r * r * p - rest));
  // 2ᵏ itself may be no normal number.
  const int64_t half = (int64_t)k / 2;
  return power * double_of((uint64_t)(half + 1023) << 52) * double_of((uint64_t)((int64_t)k - half + 1023) << 52);
}

/// ln (2ᵏ x) for a positive normal x of these bits.
///
/// x = 2ᵉ (1 + f) with 1 + f from √½ to √2. With s = f / (2 + f), ln(1 + f) = 2 artanh s = 2s + s R, where R is the series
/// 2/3 s² + 2/5 s⁴ + …, cut where it is below 10⁻¹⁸; and 2s = f − s f, so that what is rounded is small beside f.
INLINED double normal_logarithm(uint64_t bits, double k) {
  const int64_t exponent = (int64_t)(bits - 0x3fe6a09e667f3bcd) >> 52;
  k += (double)exponent;
  const double f = double_of(bits - ((uint64_t)exponent << 52)) - 1;
  const double s = f / (2 + f);
  const double z = s * s;
  double r = 2.0 / 21;
  r = r * z + 2.0 / 19;
  r = r * z + 2.0 / 17;
  r = r * z + 2.0 / 15;
  r = r * z + 2.0 / 13;
  r = r * z + 2.0 / 11;
  r = r * z + 2.0 / 9;
  r = r * z + 2.0 / 7;
  r = r * z + 2.0 / 5;
  r = r * z + 2.0 / 3;
  r = r * z;
  return k * log2_head - ((s * (f - r) - k * log2_tail) - f);
}

double ck_logarithm(double x) {
  const uint64_t least_normal = 0x0010000000000000, infinite = 0x7ff0000000000000;
  const uint64_t bits = bits_of_double(x);
  if (bits >= least_normal && bits < infinite) return normal_logarithm(bits, 0);
  if (x == 0) return -__builtin_inf();
  if (x != x || x > 0x1.fffffffffffffp1023) return x;
  if (x < 0) return __builtin_nan("");
  return normal_logarithm(bits_of_double(x * 0x1p54), -54);
}

/// The logarithm of the rounded sum, and to first order of what rounding took from it.
double ck_logarithm_of_sum(double x) {
  const double sum = 1 + x;
  return ck_logarithm(sum) + (x - (sum - 1)) / sum;
}

/// turns = q / 4 + r with |r| ≤ 1/8, exactly, and sine and cosine of θ = 2πr by their Taylor polynomials of degrees 17 and 18, whose
/// remainders are below 10⁻¹⁹. θ comes in two parts, the first of 26 bits, whose square is exact.
void ck_turn(double turns, double *sine, double *cosine) {
  const double two_pi = 0x1.921fb54442d18p2, two_pi_tail = 0x1.1a62633145c07p-52;
  const double shifted = turns * 4 + magic;
  const uint64_t quarter = bits_of_double(shifted) & 3;
  const double r = turns - (shifted - magic) / 4;
  const double product = head(r) * head(two_pi);
  const double theta = head(product);
  const double rest = (product - theta)
    + ((r - head(r)) * head(two_pi) + r * ((two_pi - head(two_pi)) + two_pi_tail));
  const double t = theta + rest;
  const double z = t * t;
  double p = 1.0 / 355687428096000;
  p = p * z - 1.0 / 1307674368000;
  p = p * z + 1.0 / 6227020800;
  p = p * z - 1.0 / 39916800;
  p = p * z + 1.0 / 362880;
  p = p * z - 1.0 / 5040;
  p = p * z + 1.0 / 120;
  p = p * z - 1.0 / 6;
  const double s = theta + (rest + t * z * p);
  double q = -1.0 / 6402373705728000;
  q = q * z + 1.0 / 20922789888000;
  q = q * z - 1.0 / 87178291200;
  q = q * z + 1.0 / 479001600;
  q = q * z - 1.0 / 3628800;
  q = q * z + 1.0 / 40320;
  q = q * z - 1.0 / 720;
  q = q * z + 1.0 / 24;
  const double half_square = theta * theta / 2;
  const double near = 1 - half_square;
  const double c = near + (((1 - near) - half_square) - (theta + rest / 2) * rest + z * z * q);
  *sine = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
  *cosine = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
}

double ck_whole_power(double x, uint64_t n) {
  double result = 1;
  for (; n > 0; n >>= 1) {
    if (n & 1) result *= x;
    x *= x;
  }
  return result;
}

double ck_power(double x, double y) {
  if (y == 0) return 1;
  return ck_exponential(y * ck_logarithm(x));
}

/// As `ck_exponential`, without branches, for exponentials of single precision: so the polynomial has degree 9, and ln 2 one part.
INLINED float exponential(float number) {
  double x = number;
  x = x < -110 ? -110 : x;
  x = x > 100 ? 100 : x;
  const double shifted = x * 0x1.71547652b82fep0 + magic;
  const double r = x - (shifted - magic) * 0x1.62e42fefa39efp-1;
  double p = 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1;
  p = p * r + 1;
  return (float)(p * double_of((bits_of_double(shifted) + 1023) << 52));
}

/// The sums of a lane each.
typedef struct {
  double powers[LANES], numbers[LANES];
  float single_powers[LANES];
} lane_sums;

/// Takes up to LANES numbers, a lane each.
INLINED void add_exponentials(const float *x, size_t count, float origin, float *powers, lane_sums *lanes) {
  float results[LANES];
  for (size_t i = 0; i < count; i++) results[i] = exponential(x[i] - origin);
  if (lanes) {
    for (size_t i = 0; i < count; i++) {
      lanes->powers[i] += (double)results[i];
      lanes->numbers[i] += (double)x[i];
      lanes->single_powers[i] += results[i];
    }
  }
  if (powers) {
    for (size_t i = 0; i < count; i++) powers[i] = results[i];
  }
}

INLINED void all_exponentials(const float *x, size_t count, float origin, float *powers, lane_sums *lanes) {
  const size_t whole = count / LANES * LANES;
  for (size_t i = 0; i < whole; i += LANES) add_exponentials(x + i, LANES, origin, powers ? powers + i : NULL, lanes);
  add_exponentials(x + whole, count - whole, origin, powers ? powers + whole : NULL, lanes);
}

CK_DISPATCHED(
  void, ck_exponentials, (const float *x, size_t count, float origin, float *powers, ck_exponential_sums *sums),
  (x, count, origin, powers, sums)) {
  if (!sums) {
    all_exponentials(x, count, origin, powers, NULL);
    return;
  }
  lane_sums lanes = {0};
  all_exponentials(x, count, origin, powers, &lanes);
  *sums = (ck_exponential_sums){0};
  for (size_t i = 0; i < LANES; i++) {
    sums->powers += lanes.powers[i];
    sums->single_powers += lanes.single_powers[i];
    sums->numbers += lanes.numbers[i];
  }
}

_Static_assert(CK_FEW_LOGITS == LANES, "every logit of a row has a lane of its own in the sums of `ck_exponentials`");

/// A row of no more logits than there are lanes is a column here, so that LANES rows are worked on at once. Each sum has a term a lane, and
/// so runs from the first logit to the last.
INLINED void log_sums(const float *x, ptrdiff_t row, size_t rows, size_t columns, double *results) {
  float logits[LANES][LANES] = {0}, largest[LANES], origins[LANES];
  double sums[LANES] = {0};
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < columns; c++) logits[c][r] = x[(ptrdiff_t)r * row + (ptrdiff_t)c];
  for (size_t r = 0; r < LANES; r++) largest[r] = logits[0][r];
  for (size_t c = 1; c < columns; c++)
    for (size_t r = 0; r < LANES; r++) largest[r] = logits[c][r] > largest[r] ? logits[c][r] : largest[r];
  for (size_t r = 0; r < LANES; r++) origins[r] = largest[r] == -__builtin_inff() ? 0 : largest[r];
  for (size_t c = 0; c < columns; c++)
    for (size_t r = 0; r < LANES; r++) sums[r] += (double)exponential(logits[c][r] - origins[r]);
  for (size_t r = 0; r < LANES; r++) results[r] = normal_logarithm(bits_of_double(sums[r]), 0);
  for (size_t r = 0; r < rows; r++) {
    // A sum of finite logits has one term that is 1; no other has a logarithm here that means anything.
    if (!(sums[r] >= 1 && sums[r] <= LANES)) results[r] = ck_logarithm(sums[r]);
    results[r] += (double)largest[r];
  }
}

CK_DISPATCHED(
  double, ck_add_cross_entropies,
  (const float *logits, ptrdiff_t row, size_t rows, size_t columns, const int32_t *classes, double sum),
  (logits, row, rows, columns, classes, sum)) {
  for (size_t first = 0; first < rows; first += LANES) {
    const float *x = logits + (ptrdiff_t)first * row;
    const size_t count = rows - first < LANES ? rows - first : LANES;
    double results[LANES];
    log_sums(x, row, count, columns, results);
    for (size_t r = 0; r < count; r++) sum += results[r] - (double)x[(ptrdiff_t)r * row + classes[first + r]];
  }
  return sum;
}
