import Foundation

/// The standard normal distribution.
public enum NormalDistribution {
  /// P(Z ≤ x).
  public static func probability(below x: Double) -> Double { 0.5 * erfc(-x / 2.0.squareRoot()) }

  /// P(|Z| ≥ |x|): the p-value of a deviation of x standard errors.
  public static func probability(outside x: Double) -> Double { erfc(abs(x) / 2.0.squareRoot()) }

  /// The x with P(|Z| ≥ x) = `probability`, from 0 to 1: as many standard errors are exceeded that often. Infinite for 0.
  public static func deviation(exceededWith probability: Double) -> Double {
    guard probability > 0 else { return .infinity }
    return root(of: { self.probability(outside: $0) }, equal: probability, in: 0...40)
  }
}

/// The x at which a function that falls has a value, by bisection down to the spacing of numbers.
func root(of function: (Double) -> Double, equal value: Double, in range: ClosedRange<Double>) -> Double {
  var (low, high) = (range.lowerBound, range.upperBound)
  while true {
    let middle = low + (high - low) / 2
    guard middle > low, middle < high else { return middle }
    if function(middle) > value { low = middle } else { high = middle }
  }
}
