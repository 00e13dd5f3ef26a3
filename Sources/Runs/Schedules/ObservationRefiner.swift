import Formats
import Foundation
import Replay
import Tensors

/// Tells how well a curve is known that is observed at few n and joined by lines in log n between them, and where it should
/// be observed next.
///
/// How far the curve is from its lines is told by the points themselves: each interior one has a distance r to the line
/// between its neighbours. Over an interval of length h in log n that distance grows as h^α, with α = 2 where the curve is
/// smooth and 0 where it is rough; α is measured by leaving every second point out.
struct ObservationRefiner {
  private let points: [Int]
  /// By point: the mean over seeds of its distance to the line between its neighbours; 0 at both ends.
  private let residuals: [Double]
  private let exponent: Double

  /// - Parameter curves: of each seed, at least one, all observed at the same n.
  init(curves: [Curve]) {
    let points = curves[0].points.map(\.n)
    self.points = points

    /// The mean over seeds of |value − line between the points `reach` before and after|.
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
    // What leaving every second point out does to the residuals, and to the lengths they span.
    var (near, far, growth) = (0.0, 0.0, 0.0)
    for index in points.indices {
      guard let wide = residual(index, reach: 2) else { continue }
      near += residuals[index]
      far += wide
      growth +=
        wide
        * log(Self.length(points[index - 2], points[index + 2]) / Self.length(points[index - 1], points[index + 1]))
    }
    exponent = near > 0 && growth > 0 ? min(2, max(0, log(far / near) * far / growth)) : 2
  }

  private static func length(_ a: Int, _ b: Int) -> Double { log(Double(b) / Double(a)) }

  /// How many n between point `index` and the next are not observed.
  private func gap(after index: Int) -> Int { points[index + 1] - points[index] - 1 }

  /// The mean absolute error of the line between point `index` and the next.
  private func error(after index: Int) -> Double {
    guard gap(after: index) > 0 else { return 0 }
    let neighbours = [index, index + 1].filter { $0 > 0 && $0 < points.count - 1 }
    guard !neighbours.isEmpty else { return .infinity }
    let length = Self.length(points[index], points[index + 1])
    // The mean over an interval is two thirds of the largest distance of a parabola, and all of a rough curve's.
    return (1 - exponent / 6)
      * mean(neighbours.map { residuals[$0] * pow(length / Self.length(points[$0 - 1], points[$0 + 1]), exponent) })
  }

  /// The mean absolute error over all n up to the last; infinite where too few are observed to tell.
  var error: Double {
    guard points.count > 2, let last = points.last else { return .infinity }
    return points.indices.dropLast().reduce(0) { $0 + error(after: $1) * Double(gap(after: $1)) } / Double(last)
  }

  /// The mean absolute error of the line at n.
  func error(at n: Int) -> Double {
    guard let above = points.firstIndex(where: { $0 >= n }), above > 0, points[above] > n else { return 0 }
    return error(after: above - 1)
  }

  /// One n in each gap, first those that lower the error most for what they cost.
  /// - Parameter cost: of observing an n.
  func next(cost: (Int) -> Double) -> [Int] {
    points.indices.dropLast().filter { gap(after: $0) > 0 }.map { index in
      let (a, b) = (points[index], points[index + 1])
      let middle = min(b - 1, max(a + 1, Int((Double(a) * Double(b)).squareRoot().rounded())))
      return (n: middle, gain: error(after: index) * Double(gap(after: index)) / cost(middle))
    }.sorted { ($0.gain, $1.n) > ($1.gain, $0.n) }.map(\.n)
  }
}
