import Formats
import Replay
import Tensors

/// A mean over seeds, with the half-width of its 95 % confidence interval (Student's t).
public struct Estimate: Codable, Sendable, Equatable {
  public let mean: Double
  /// The half-width of the interval; nil for one seed, which says nothing about others.
  public let halfWidth: Double?

  public init(_ values: [Double]) {
    mean = Runs.mean(values)
    halfWidth = standardDeviation(values).map {
      Self.studentQuantile(freedom: values.count - 1) * $0 / Double(values.count).squareRoot()
    }
  }

  /// The confidence interval; the mean alone for one seed.
  public var interval: ClosedRange<Double> { mean - (halfWidth ?? 0)...mean + (halfWidth ?? 0) }

  /// The t with P(|T| ≤ t) = 0.95 for T of Student's distribution, to three decimals.
  private static func studentQuantile(freedom: Int) -> Double {
    let table = [
      12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110,
      2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ]
    return freedom <= table.count ? table[freedom - 1] : 1.960 + 2.4 / Double(freedom)
  }
}

package func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

/// The sample standard deviation; nil for fewer than two values.
package func standardDeviation(_ values: [Double]) -> Double? {
  guard values.count > 1 else { return nil }
  let center = mean(values)
  return (values.reduce(0) { $0 + ($1 - center) * ($1 - center) } / Double(values.count - 1)).squareRoot()
}
