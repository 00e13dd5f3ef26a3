import Foundation

/// A number estimated from independent values of many seeds, with the standard deviation of its estimate.
public struct SampleEstimate: Sendable {
  public let value: Double
  public let standardError: Double

  public init(_ value: Double, standardError: Double) {
    self.value = value
    self.standardError = standardError
  }

  /// The mean of at least two values.
  public static func mean(of values: [Double]) -> SampleEstimate {
    let moments = Moments(values)
    return SampleEstimate(moments.mean, standardError: (moments.variance / moments.count).squareRoot())
  }

  /// The variance of at least two values, whose estimate has the variance (μ₄ − σ⁴) / n in the limit of large n.
  public static func variance(of values: [Double]) -> SampleEstimate {
    let moments = Moments(values)
    let spread = max(0, moments.fourth - moments.variance * moments.variance)
    return SampleEstimate(moments.variance, standardError: (spread / moments.count).squareRoot())
  }

  /// The covariance of pairs, with the standard error of the mean of the products.
  public static func covariance(of a: [Double], _ b: [Double]) -> SampleEstimate {
    let (x, y) = (Moments(a), Moments(b))
    let products = zip(a, b).map { ($0 - x.mean) * ($1 - y.mean) }
    let mean = mean(of: products)
    return SampleEstimate(mean.value * x.count / (x.count - 1), standardError: mean.standardError)
  }

  /// The ratio of two means over the same seeds, whose variance is that of a − ratio · b, over the square of b's mean (the delta
  /// method).
  public static func ratio(of a: [Double], to b: [Double]) -> SampleEstimate {
    let (above, below) = (Moments(a).mean, Moments(b).mean)
    let ratio = above / below
    let rest = mean(of: zip(a, b).map { $0 - ratio * $1 })
    return SampleEstimate(ratio, standardError: rest.standardError / abs(below))
  }

  /// valueˣ, whose standard error follows from the derivative.
  public func power(_ exponent: Double) -> SampleEstimate {
    let result = Foundation.pow(value, exponent)
    return SampleEstimate(result, standardError: abs(exponent * result / value) * standardError)
  }
}

/// The moments of values about their mean.
package struct Moments {
  package let count: Double
  package let mean: Double
  /// The sample variance, over n − 1.
  package let variance: Double
  /// The fourth moment.
  package let fourth: Double

  /// - Precondition: There are at least two values.
  package init(_ values: [Double]) {
    let count = Double(values.count)
    let mean = values.reduce(0, +) / count
    var (squares, fourths) = (0.0, 0.0)
    for value in values {
      let square = (value - mean) * (value - mean)
      squares += square
      fourths += square * square
    }
    self.count = count
    self.mean = mean
    variance = squares / (count - 1)
    fourth = fourths / count
  }
}
