import Formats
import Foundation
import Replay
import Tensors

/// A quantity by n, observed at some n and joined between them by lines in log n: curves of training are straighter there.
package struct Curve: Sendable {
  /// Ascending.
  package private(set) var points: [(n: Int, value: Double)]

  package init(_ points: [(n: Int, value: Double)]) {
    self.points = points.sorted { $0.n < $1.n }
  }

  var values: [Double] { points.map(\.value) }

  /// Observed at these n only.
  package func restricted(to n: Set<Int>) -> Curve { Curve(points.filter { n.contains($0.n) }) }

  /// The value at n ≥ 1; before the first and after the last point theirs.
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

  /// How far along in log n between `a` and `b` n lies.
  static func share(of n: Int, from a: Int, to b: Int) -> Double {
    log(Double(n) / Double(a)) / log(Double(b) / Double(a))
  }

  /// |self − reference| at each of the reference's n in `range`.
  package func errors(against reference: Curve, in range: ClosedRange<Int>) -> [Double] {
    reference.points.filter { range.contains($0.n) }.map { abs(value(at: $0.n) - $0.value) }
  }

  /// The exponential average of what was observed up to each n: each point keeps `decay` of the average before it.
  package func smoothed(decay: Double) -> Curve {
    var average: Double?
    return Curve(
      points.map { point in
        let value = average.map { decay * $0 + (1 - decay) * point.value } ?? point.value
        average = value
        return (point.n, value)
      })
  }

  /// The line in log n through the points in `range`, by least squares.
  package func logarithmicLine(in range: ClosedRange<Int>) -> Curve {
    let chosen = points.filter { range.contains($0.n) && $0.n > 0 }
    let x = chosen.map { log(Double($0.n)) }
    let (centerX, centerY) = (Runs.mean(x), Runs.mean(chosen.map(\.value)))
    let spread = x.reduce(0) { $0 + ($1 - centerX) * ($1 - centerX) }
    let slope = spread > 0 ? zip(x, chosen).reduce(0) { $0 + ($1.0 - centerX) * ($1.1.value - centerY) } / spread : 0
    return Curve(zip(x, chosen).map { ($1.n, centerY + slope * ($0 - centerX)) })
  }

  /// The standard deviation of the change from one point in `range` to the next; nil with fewer than three, or where they are
  /// not at even distances (the last one may be nearer).
  package func neighbourNoise(in range: ClosedRange<Int>) -> Double? {
    var noise = StreamedNoise(range)
    for point in points { noise.add(point.n, point.value) }
    return noise.deviation
  }
}
