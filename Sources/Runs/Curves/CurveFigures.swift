import Formats
import Replay
import Tensors

/// The summary figures of one seed's curve, computed while its observations pass by, without keeping them.
package struct CurveFigures {
  private var means: [StreamedMean]
  private var training: StreamedMean
  private var noise: StreamedNoise
  private(set) var count = 0

  /// - Parameters:
  ///   - last: The last n of any seed.
  ///   - metricCount: The number of values of each observation.
  package init(last: Int, metricCount: Int) {
    let quarter = min(last, last - last / 4 + 1)...last
    training = StreamedMean(quarter)
    means = Array(repeating: StreamedMean(quarter), count: metricCount)
    noise = StreamedNoise(last / 2...last)
  }

  /// Adds the next observation. Observations come in ascending order of n.
  package mutating func add(_ iterate: RunResult.Iterate) {
    count += 1
    for (place, value) in iterate.measurements.values.enumerated() { means[place].add(iterate.n, value) }
    noise.add(iterate.n, iterate.measurements.loss)
    if let loss = iterate.trainingLoss { training.add(iterate.n, loss) }
  }

  /// The mean of each metric over the last quarter of the curve.
  var values: [Double] { means.map(\.mean) }
  /// The mean training loss over the last quarter; nil if none was noted.
  var trainingLoss: Double? { training.mean.isNaN ? nil : training.mean }
  /// The neighbour noise of the loss over the last half; nil with fewer than three observations there, or if they are
  /// not evenly spaced.
  var neighbourNoise: Double? { noise.deviation }
}

/// The mean of a curve, interpolated linearly in log n, over all n of a range, or over about ten thousand evenly
/// spaced ones if the range is longer.
package struct StreamedMean {
  /// The next n to be evaluated, up to `last`.
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

  /// Adds the next point. Points come in ascending order of n.
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

  /// The mean. Beyond its last point the curve keeps that point's value.
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
  /// Whether a step differed from the first one; `wasUneven` leaves out the newest point, which may be closer than
  /// the others.
  private var isUneven = false
  private var wasUneven = false
  // Welford's recurrence.
  private var count = 0
  private var center = 0.0
  private var squares = 0.0

  init(_ range: ClosedRange<Int>) { self.range = range }

  /// Adds the next point. Points come in ascending order of n.
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

  /// The standard deviation. Nil with fewer than three points, or if they are not evenly spaced (the last one may be
  /// closer).
  var deviation: Double? { count > 1 && !wasUneven ? (squares / Double(count - 1)).squareRoot() : nil }
}
