import Formats
import Foundation
import Replay
import Tensors

/// A quantity observed at some n and interpolated linearly in log n between them, where training curves are
/// straighter than in n.
package struct Curve: Sendable {
  /// The observed points, in ascending order of n.
  package private(set) var points: [(n: Int, value: Double)]

  package init(_ points: [(n: Int, value: Double)]) {
    self.points = points.sorted { $0.n < $1.n }
  }

  var values: [Double] { points.map(\.value) }

  /// The curve as if it had been observed only at these n.
  package func restricted(to n: Set<Int>) -> Curve { Curve(points.filter { n.contains($0.n) }) }

  /// The interpolated value at n ≥ 1. Before the first point and after the last one it is the value of that point.
  package func value(at n: Int) -> Double {
    guard let first = points.first, let last = points.last else { return .nan }
    if n <= first.n { return first.value }
    if n >= last.n { return last.value }
    var low = 0, high = points.count - 1
    while high - low > 1 {
      let middle = (low + high) / 2
      if points[middle].n <= n { low = middle } else { high = middle }
    }
    let (a, b) = (points[low], points[high])
    return a.value + (b.value - a.value) * Self.share(of: n, from: a.n, to: b.n)
  }

  /// The relative position of n between `a` and `b` in log n: 0 at `a` and 1 at `b`.
  static func share(of n: Int, from a: Int, to b: Int) -> Double {
    Elementary.log(Double(n) / Double(a)) / Elementary.log(Double(b) / Double(a))
  }

  /// The absolute differences |self − reference| at each of the reference's n in `range`.
  package func errors(against reference: Curve, in range: ClosedRange<Int>) -> [Double] {
    reference.points.filter { range.contains($0.n) }.map { abs(value(at: $0.n) - $0.value) }
  }

  /// The exponential average of the values observed up to each n: each point keeps `decay` of the average before it.
  package func smoothed(decay: Double) -> Curve {
    var average: Double?
    return Curve(
      points.map { point in
        let value = average.map { decay * $0 + (1 - decay) * point.value } ?? point.value
        average = value
        return (point.n, value)
      })
  }

  /// The least-squares line in log n through the points in `range`.
  package func logarithmicLine(in range: ClosedRange<Int>) -> Curve {
    let chosen = points.filter { range.contains($0.n) && $0.n > 0 }
    let x = chosen.map { Elementary.log(Double($0.n)) }
    let (centerX, centerY) = (Runs.mean(x), Runs.mean(chosen.map(\.value)))
    let spread = x.reduce(0) { $0 + ($1 - centerX) * ($1 - centerX) }
    let slope = spread > 0 ? zip(x, chosen).reduce(0) { $0 + ($1.0 - centerX) * ($1.1.value - centerY) } / spread : 0
    return Curve(zip(x, chosen).map { ($1.n, centerY + slope * ($0 - centerX)) })
  }

  /// The standard deviation of the change from one point in `range` to the next. Nil if there are fewer than three
  /// points, or if they are not evenly spaced (the last one may be closer).
  package func neighbourNoise(in range: ClosedRange<Int>) -> Double? {
    var noise = StreamedNoise(range)
    for point in points { noise.add(point.n, point.value) }
    return noise.deviation
  }
}
