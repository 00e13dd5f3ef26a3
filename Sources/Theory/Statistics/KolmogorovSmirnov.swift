import Foundation

/// The largest distance between the distribution function of a sample and that of a law, or of another sample (Kolmogorov 1933,
/// Smirnov 1939).
///
/// Numbers that are only known to a rounding error ε are compared as such: a difference that moving each number by at most ε would
/// remove is not counted. Without this, laws whose points lie closer together than floats would differ from themselves.
public struct KolmogorovSmirnov: Sendable {
  /// The distance, from 0 to 1.
  public let distance: Double
  /// The size of the one sample to which the comparison is equal: n, or n m / (n + m) for two samples.
  public let effectiveCount: Double

  /// Compares a sample with a law.
  /// - Parameters:
  ///   - sample: At least one number, in any order.
  ///   - distribution: The distribution function of the law, which is continuous.
  ///   - rounding: The rounding error ε of the sample's numbers.
  public init(_ sample: [Double], law distribution: (Double) -> Double, rounding: Double = 0) {
    let sorted = sample.sorted()
    let count = Double(sorted.count)
    var distance = 0.0
    for (index, x) in sorted.enumerated() {
      distance = max(
        distance, Double(index + 1) / count - distribution(x + rounding), distribution(x - rounding) - Double(index) / count)
    }
    self.distance = distance
    effectiveCount = count
  }

  /// Compares two samples.
  /// - Parameters:
  ///   - a: At least one number, in any order, and so is `b`.
  ///   - rounding: The rounding error ε of the numbers of each.
  public init(_ a: [Double], _ b: [Double], rounding: Double = 0) {
    let (x, y) = (a.sorted(), b.sorted())
    distance = max(Self.largestLead(of: x, over: y, within: 2 * rounding), Self.largestLead(of: y, over: x, within: 2 * rounding))
    effectiveCount = Double(x.count) * Double(y.count) / Double(x.count + y.count)
  }

  /// The most by which the distribution function of `a` exceeds that of `b` a little further to the right; both are sorted.
  private static func largestLead(of a: [Double], over b: [Double], within: Double) -> Double {
    var (lead, reached) = (0.0, 0)
    for (index, x) in a.enumerated() {
      while reached < b.count, b[reached] <= x + within { reached += 1 }
      lead = max(lead, Double(index + 1) / Double(a.count) - Double(reached) / Double(b.count))
    }
    return lead
  }

  /// The probability that samples of the same law are at least this far apart.
  public var pValue: Double { Self.probability(above: distance, effectiveCount: effectiveCount) }

  /// The distance that samples of the same law exceed with a probability, which is above 0.
  public static func distance(exceededWith probability: Double, effectiveCount: Double) -> Double {
    root(of: { self.probability(above: $0, effectiveCount: effectiveCount) }, equal: probability, in: 0...1)
  }

  /// Kolmogorov's limit law at D (√n + 0.12 + 0.11 / √n), which is within some percent of the exact probability from n = 5 on
  /// (Stephens 1970).
  package static func probability(above distance: Double, effectiveCount: Double) -> Double {
    let root = effectiveCount.squareRoot()
    return limitProbability(above: distance * (root + 0.12 + 0.11 / root))
  }

  /// P(K > x) of Kolmogorov's law: 2 Σ (−1)ᵏ⁻¹ exp(−2 k² x²), and for small x its transform by Jacobi's identity,
  /// 1 − √(2π) / x · Σ exp(−(2k − 1)² π² / (8 x²)), which converges there.
  package static func limitProbability(above x: Double) -> Double {
    guard x > 0 else { return 1 }
    if x < 1 {
      let unit = -Double.pi * Double.pi / (8 * x * x)
      let terms = [1.0, 3, 5, 7].map { exp(unit * $0 * $0) }
      return 1 - (2 * Double.pi).squareRoot() / x * terms.reduce(0, +)
    }
    var (sum, sign) = (0.0, 1.0)
    for k in 1...8 {
      sum += sign * exp(-2 * Double(k * k) * x * x)
      sign = -sign
    }
    return min(1, 2 * sum)
  }
}
