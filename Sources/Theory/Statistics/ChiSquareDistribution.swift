import Foundation

/// The distribution of the sum of the squares of `freedom` independent standard normal numbers. The sample variance of normal
/// numbers is so distributed: (n − 1) s² / σ² with n − 1 degrees of freedom.
public struct ChiSquareDistribution: Sendable {
  /// The degrees of freedom, above 0.
  public let freedom: Double

  public init(freedom: Double) { self.freedom = freedom }

  /// P(X ≤ x), which is the regularized incomplete gamma function P(freedom / 2, x / 2).
  public func probability(below x: Double) -> Double {
    x <= 0 ? 0 : x < freedom + 2 ? series(freedom / 2, x / 2) : 1 - continuedFraction(freedom / 2, x / 2)
  }

  /// P(X > x), with a small relative error where it is small.
  public func probability(above x: Double) -> Double {
    x <= 0 ? 1 : x < freedom + 2 ? 1 - series(freedom / 2, x / 2) : continuedFraction(freedom / 2, x / 2)
  }

  /// The x that is exceeded with a probability, from 0 to 1.
  public func quantile(exceededWith probability: Double) -> Double {
    let width = 45 * (2 * freedom).squareRoot() + 2000
    return root(of: { self.probability(above: $0) }, equal: probability, in: 0...freedom + width)
  }

  /// xᵃ e⁻ˣ / Γ(a).
  private func factor(_ a: Double, _ x: Double) -> Double { exp(a * log(x) - x - lgamma(a)) }

  /// P(a, x) = xᵃ e⁻ˣ / Γ(a) · Σ xⁿ / (a (a + 1) … (a + n)) (DLMF 8.11.4), which converges fast for x < a + 1.
  private func series(_ a: Double, _ x: Double) -> Double {
    var (term, sum, n) = (1 / a, 1 / a, a)
    while term > sum * 1e-17 {
      n += 1
      term *= x / n
      sum += term
    }
    return min(1, sum * factor(a, x))
  }

  /// Q(a, x) by its continued fraction x + 1 − a − 1 (1 − a) / (x + 3 − a − …) (DLMF 8.9.2 in its even form), evaluated from the
  /// front by Lentz's method as Thompson and Barnett (1986) modified it; for x > a + 1.
  private func continuedFraction(_ a: Double, _ x: Double) -> Double {
    let tiny = 1e-300
    var b = x + 1 - a
    var c = 1 / tiny
    var d = 1 / b
    var product = d
    for i in 1...100_000 {
      let numerator = -Double(i) * (Double(i) - a)
      b += 2
      d = numerator * d + b
      if abs(d) < tiny { d = tiny }
      c = b + numerator / c
      if abs(c) < tiny { c = tiny }
      d = 1 / d
      product *= d * c
      if abs(d * c - 1) < 1e-16 { break }
    }
    return product * factor(a, x)
  }
}
