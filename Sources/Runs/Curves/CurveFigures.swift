import Formats
import Replay
import Tensors

/// What a summary says of one seed's curve, from its observations one after the other: none of them is kept.
package struct CurveFigures {
  private var means: [StreamedMean]
  private var noise: StreamedNoise
  private(set) var count = 0

  /// - Parameters:
  ///   - last: the last n, of any seed.
  ///   - metricCount: how many values each observation has.
  package init(last: Int, metricCount: Int) {
    let quarter = min(last, last - last / 4 + 1)...last
    means = Array(repeating: StreamedMean(quarter), count: metricCount)
    noise = StreamedNoise(last / 2...last)
  }

  /// Takes the next observation, ascending in n.
  package mutating func add(_ iterate: RunResult.Iterate) {
    count += 1
    for (place, value) in iterate.measurements.values.enumerated() { means[place].add(iterate.n, value) }
    noise.add(iterate.n, iterate.measurements.loss)
  }

  /// Of each metric, over the last quarter.
  var values: [Double] { means.map(\.mean) }
  /// Of the loss, over the last half; nil with fewer than three observations there, or at uneven distances.
  var neighbourNoise: Double? { noise.deviation }
}

/// The mean over all n of a range, or some ten thousand of them evenly spaced, of a curve whose points are joined by lines in
/// log n.
package struct StreamedMean {
  /// The next n to be looked at, up to `last`.
  private var next: Int
  private let last: Int
  private let step: Int
  private var sum = 0.0
  private var count = 0
  private var before: (n: Int, value: Double)?

  package init(_ range: ClosedRange<Int>) {
    step = max(1, range.count / 10_000)
    last = range.upperBound
    next = range.lowerBound + (range.upperBound - range.lowerBound) % step
  }

  /// Takes the next point, ascending in n.
  package mutating func add(_ n: Int, _ value: Double) {
    while next <= min(n, last) {
      if let before, next < n {
        sum += before.value + (value - before.value) * Curve.share(of: next, from: before.n, to: n)
      } else {
        sum += value
      }
      count += 1
      next += step
    }
    before = (n, value)
  }

  /// Beyond the last point the curve keeps its value.
  package var mean: Double {
    guard let before else { return .nan }
    let left = next <= last ? (last - next) / step + 1 : 0
    return (sum + Double(left) * before.value) / Double(count + left)
  }
}

/// The standard deviation of a curve's change from one point in a range to the next.
struct StreamedNoise {
  private let range: ClosedRange<Int>
  private var before: (n: Int, value: Double)?
  private var gap: Int?
  /// The last point may be nearer than the others.
  private var isUneven = false
  private var wasUneven = false
  // Welford's recurrence.
  private var count = 0
  private var center = 0.0
  private var squares = 0.0

  init(_ range: ClosedRange<Int>) { self.range = range }

  /// Takes the next point, ascending in n.
  mutating func add(_ n: Int, _ value: Double) {
    guard range.contains(n) else { return }
    defer { before = (n, value) }
    guard let before else { return }
    wasUneven = isUneven
    if n - before.n != gap ?? (n - before.n) { isUneven = true }
    gap = gap ?? (n - before.n)
    let change = value - before.value
    count += 1
    let difference = change - center
    center += difference / Double(count)
    squares += difference * (change - center)
  }

  /// Nil with fewer than three points, or where they are not at even distances (the last one may be nearer).
  var deviation: Double? { count > 1 && !wasUneven ? (squares / Double(count - 1)).squareRoot() : nil }
}
