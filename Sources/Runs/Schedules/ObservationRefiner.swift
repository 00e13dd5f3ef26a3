import Formats
import Foundation
import Replay
import Tensors

/// Estimates how well a curve is known that is observed at few n and interpolated linearly in log n, and where it
/// should be observed next.
///
/// The observed points themselves show how far the curve is from the interpolation: each interior point has a
/// distance r to the line between its neighbours. Over an interval of length h in log n that distance grows as h^α,
/// with α = 2 for a smooth curve and α = 0 for a rough one. The exponent α is measured by leaving out every second
/// point.
struct ObservationRefiner {
  private let points: [Int]
  /// For each point, the mean over seeds of its distance to the line between its neighbours; 0 at both ends.
  private let residuals: [Double]
  private let exponent: Double

  /// - Parameter curves: The curves of the seeds, at least one, all observed at the same n.
  init(curves: [Curve]) {
    let points = curves[0].points.map(\.n)
    self.points = points

    /// The mean over seeds of the distance of a value to the line between the points `reach` before and after it.
    func residual(_ index: Int, reach: Int) -> Double? {
      guard index >= reach, index + reach < points.count else { return nil }
      let share = Curve.share(of: points[index], from: points[index - reach], to: points[index + reach])
      return mean(
        curves.map { curve in
          let (a, b) = (curve.points[index - reach].value, curve.points[index + reach].value)
          return abs(curve.points[index].value - a - share * (b - a))
        })
    }
    residuals = points.indices.map { residual($0, reach: 1) ?? 0 }
    // Compares the residuals with those after leaving out every second point, and the lengths that they span.
    var (near, far, growth) = (0.0, 0.0, 0.0)
    for index in points.indices {
      guard let wide = residual(index, reach: 2) else { continue }
      near += residuals[index]
      far += wide
      growth +=
        wide
        * Elementary.log(Self.length(points[index - 2], points[index + 2]) / Self.length(points[index - 1], points[index + 1]))
    }
    exponent = near > 0 && growth > 0 ? min(2, max(0, Elementary.log(far / near) * far / growth)) : 2
  }

  private static func length(_ a: Int, _ b: Int) -> Double { Elementary.log(Double(b) / Double(a)) }

  /// The number of n between point `index` and the next that are not observed.
  private func gap(after index: Int) -> Int { points[index + 1] - points[index] - 1 }

  /// The mean absolute error of the line between point `index` and the next.
  private func error(after index: Int) -> Double {
    guard gap(after: index) > 0 else { return 0 }
    let neighbours = [index, index + 1].filter { $0 > 0 && $0 < points.count - 1 }
    guard !neighbours.isEmpty else { return .infinity }
    let length = Self.length(points[index], points[index + 1])
    // The mean over an interval is two thirds of the largest distance for a parabola, and all of it for a rough
    // curve.
    return (1 - exponent / 6)
      * mean(neighbours.map { residuals[$0] * Elementary.power(length / Self.length(points[$0 - 1], points[$0 + 1]), exponent) })
  }

  /// The mean absolute error over all n up to the last; infinite if too few are observed to estimate it.
  var error: Double {
    guard points.count > 2, let last = points.last else { return .infinity }
    return points.indices.dropLast().reduce(0) { $0 + error(after: $1) * Double(gap(after: $1)) } / Double(last)
  }

  /// The mean absolute error of the line at n.
  func error(at n: Int) -> Double {
    guard let above = points.firstIndex(where: { $0 >= n }), above > 0, points[above] > n else { return 0 }
    return error(after: above - 1)
  }

  /// One n in each gap, in descending order of how much observing it lowers the error for its cost.
  /// - Parameter cost: The cost of observing an n.
  func next(cost: (Int) -> Double) -> [Int] {
    points.indices.dropLast().filter { gap(after: $0) > 0 }.map { index in
      let (a, b) = (points[index], points[index + 1])
      let middle = min(b - 1, max(a + 1, Int((Double(a) * Double(b)).squareRoot().rounded())))
      return (n: middle, gain: error(after: index) * Double(gap(after: index)) / cost(middle))
    }.sorted { ($0.gain, $1.n) > ($1.gain, $0.n) }.map(\.n)
  }
}
