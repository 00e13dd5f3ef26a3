import Foundation

/// A number that theory predicts and what was measured of it.
package struct Claim {
  /// What it is about: an order, or how orders compare.
  var series: String
  /// The quantity, such as `variance` or, of one coordinate, `variance:1`.
  var quantity: String
  var predicted: Double
  var evidence: Evidence

  init(_ series: Series, _ quantity: String, predicted: Double, _ evidence: Evidence) {
    self.series = series.rawValue
    self.quantity = quantity
    self.predicted = predicted
    self.evidence = evidence
  }

  enum Series: String {
    case forward, backward, both
    /// Two orders of one pass, two of a pass and its reverse, two of two updates.
    case permuted, paired, bracket
  }

  /// What was measured, and how far from the prediction it may lie.
  enum Evidence {
    /// A number that is normally distributed about the prediction, because it is a mean over many seeds.
    case estimate(SampleEstimate)
    /// The sample variance of as many normal numbers.
    case normalVariance(Double, count: Int)
    /// The share of seeds with some property.
    case share(Int, of: Int)
    /// The distance of a sample to the law, or to the other sample, that theory says it has.
    case distance(KolmogorovSmirnov)
    /// A number that must lie within a bound of rounding errors, for every seed.
    case exact(Double, tolerance: Double)
    /// A number that must not exceed the prediction, for any seed.
    case atMost(Double)
    /// A number that must not fall below the prediction, for any seed.
    case atLeast(Double)
  }
}

extension Claim {
  /// Whether the evidence has a probability, so that it counts among the tests that share the confidence.
  var isTest: Bool {
    switch evidence {
    case .estimate, .normalVariance, .share, .distance: true
    case .exact, .atMost, .atLeast: false
    }
  }

  var measured: Double {
    switch evidence {
    case .estimate(let estimate): estimate.value
    case .normalVariance(let value, _): value
    case .share(let part, let all): Double(part) / Double(all)
    case .distance(let distance): distance.distance
    case .exact(let value, _), .atMost(let value), .atLeast(let value): value
    }
  }

  /// The measurements that the prediction allows.
  /// - Parameter level: The probability with which a true prediction may be rejected.
  func allowed(level: Double) -> ClosedRange<Double> {
    let deviations = NormalDistribution.deviation(exceededWith: level)
    func around(_ width: Double) -> ClosedRange<Double> { predicted - width...predicted + width }
    switch evidence {
    case .estimate(let estimate): return around(deviations * estimate.standardError)
    case .normalVariance(_, let count):
      let law = ChiSquareDistribution(freedom: Double(count - 1))
      let unit = max(0, predicted) / Double(count - 1)
      return unit * law.quantile(exceededWith: 1 - level / 2)...unit * law.quantile(exceededWith: level / 2)
    case .share(_, let all): return around(deviations * shareDeviation(all))
    case .distance(let distance):
      return 0...KolmogorovSmirnov.distance(exceededWith: level, effectiveCount: distance.effectiveCount)
    case .exact(_, let tolerance): return around(tolerance)
    case .atMost: return -.infinity...predicted
    case .atLeast: return predicted...(.infinity)
    }
  }

  /// The probability of a measurement so far from a true prediction; nil for what must hold for every seed.
  var pValue: Double? {
    func normal(_ error: Double) -> Double {
      measured == predicted ? 1 : NormalDistribution.probability(outside: (measured - predicted) / error)
    }
    switch evidence {
    case .estimate(let estimate): return normal(estimate.standardError)
    case .normalVariance(let value, let count):
      guard predicted > 0 else { return 0 }
      let law = ChiSquareDistribution(freedom: Double(count - 1))
      let statistic = Double(count - 1) * value / predicted
      return 2 * min(law.probability(below: statistic), law.probability(above: statistic), 0.5)
    case .share(_, let all): return normal(shareDeviation(all))
    case .distance(let distance): return distance.pValue
    case .exact, .atMost, .atLeast: return nil
    }
  }

  /// The standard deviation of a share of `count` seeds whose probability is the prediction.
  private func shareDeviation(_ count: Int) -> Double {
    (max(0, predicted * (1 - predicted)) / Double(count)).squareRoot()
  }
}

/// A prediction beside its measurement, and whether they agree.
public struct TheoryCheck: Codable, Sendable {
  /// `forward`, `backward` or `both`; of `orders`, `permuted`, `paired` or `bracket`.
  public let series: String
  /// The quantity, such as `variance` or, of one coordinate, `variance:1`.
  public let quantity: String
  public let predicted: Double
  public let measured: Double
  /// The least and the greatest measurement that agrees with the prediction; nil where there is no limit.
  public let lowest: Double?
  public let highest: Double?
  /// The probability that a true prediction is missed by so much; nil for what must hold for every seed, within rounding errors.
  public let pValue: Double?
  /// Whether the prediction is the caller's own.
  public let isOwn: Bool
  public let agrees: Bool

  /// - Parameter level: The probability with which a true prediction may be rejected.
  init(_ claim: Claim, isOwn: Bool, level: Double) {
    series = claim.series
    quantity = claim.quantity
    predicted = claim.predicted
    measured = claim.measured
    let allowed = claim.allowed(level: level)
    lowest = allowed.lowerBound.isFinite ? allowed.lowerBound : nil
    highest = allowed.upperBound.isFinite ? allowed.upperBound : nil
    pValue = claim.pValue
    self.isOwn = isOwn
    // A p-value of NaN agrees with nothing.
    agrees = claim.pValue.map { $0 >= level } ?? allowed.contains(claim.measured)
  }
}
