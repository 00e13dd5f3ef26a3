import Foundation
import Tensors

/// What a quantity that is measured at several η tends to for η → 0, with the next terms of its expansion fitted along.
///
/// Over a decade of η that must lie above rounding errors, the terms that follow the leading one are not small: a straight line in log-log
/// has a slope that is off by some percent. They are powers of η, so a fit that has the first few of them besides leaves the leading term
/// alone. Each result is a linear combination of the measurements, whose error over the seeds follows from that of each seed.
package struct DecadeFit: Sendable {
  /// η, ascending.
  package let rates: [Double]
  /// The combination of ln y that gives k in ln y = k ln η + const, that which has η, η² and η³ besides, and the combination of y that gives
  /// its value at 0 where it is a polynomial of degree 3.
  private let line, exponent, constant: [Double]

  /// - Precondition: There are more than five η.
  package init(rates: [Double]) {
    self.rates = rates
    let largest = rates.max() ?? 1
    let scaled = rates.map { $0 / largest }
    let (ones, logarithms) = (scaled.map { _ in 1.0 }, scaled.map { log($0) })
    let powers = (1...3).map { power in scaled.map { pow($0, Double(power)) } }
    line = Self.weights(ofColumn: 0, [logarithms, ones])
    exponent = Self.weights(ofColumn: 0, [logarithms, ones] + powers)
    constant = Self.weights(ofColumn: 0, [ones] + powers)
  }

  /// Nine η, evenly spaced in log η, from the first to ten times as much.
  package static func decade(from first: Double) -> [Float] { (0...8).map { Float(first * Elementary.power(10, Double($0) / 8)) } }

  /// The combination of measurements that is the coefficient of a column in a fit by least squares, from its normal equations.
  private static func weights(ofColumn wanted: Int, _ columns: [[Double]]) -> [Double] {
    let products = columns.flatMap { a in columns.map { b in zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } } }
    let unit = columns.indices.map { $0 == wanted ? 1.0 : 0 }
    let solution = SquareMatrix(order: columns.count, products).solution(of: unit)
    return (columns.first ?? []).indices.map { row in zip(columns, solution).reduce(0) { $0 + $1.0[row] * $1.1 } }
  }

  /// The power of η at which the root mean square over the seeds rises from 0.
  /// - Parameter squares: The squares, η by η and in each seed by seed, none of whose means is 0.
  package func exponent(of squares: [[Double]]) -> SampleEstimate {
    let means = squares.map { Moments($0).mean }
    let value = zip(exponent, means).reduce(0) { $0 + 0.5 * $1.0 * log($1.1) }
    // To first order a seed changes the logarithm of a mean by its share in that mean.
    let shares = (squares.first ?? []).indices.map { seed in
      squares.indices.reduce(0) { $0 + 0.5 * exponent[$1] * squares[$1][seed] / means[$1] }
    }
    return SampleEstimate(value, standardError: SampleEstimate.mean(of: shares).standardError)
  }

  /// The slope of a straight line through the root mean squares in log-log.
  package func lineSlope(of squares: [[Double]]) -> Double {
    zip(line, squares).reduce(0) { $0 + 0.5 * $1.0 * log(Moments($1.1).mean) }
  }

  /// The ratio of two means over the seeds, of which the first depends on η, at η = 0.
  /// - Parameters:
  ///   - values: η by η, and in each seed by seed.
  ///   - whole: Seed by seed.
  package func limit(of values: [[Double]], to whole: [Double]) -> SampleEstimate {
    let limits = whole.indices.map { seed in values.indices.reduce(0) { $0 + constant[$1] * values[$1][seed] } }
    return SampleEstimate.ratio(of: limits, to: whole)
  }
}
