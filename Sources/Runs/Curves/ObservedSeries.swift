import Formats
import Replay
import Tensors

/// What was observed of one order, or of an average, with all seeds: what charts show.
public struct ObservedSeries: Sendable {
  /// A series' name, or a baseline's.
  public let name: String
  /// By seed, ascending in n; a run that is not finished may have seen less of some.
  public let seeds: [[RunResult.Iterate]]

  public init(name: String, seeds: [[RunResult.Iterate]]) {
    self.name = name
    self.seeds = seeds
  }

  /// A metric by n, over the seeds that were observed there.
  /// - Parameter metric: its place among the run's.
  public func curve(_ metric: Int = 0) -> [(n: Int, estimate: Estimate)] {
    Dictionary(grouping: seeds.flatMap { $0 }, by: \.n).sorted { $0.key < $1.key }.map { n, iterates in
      (n, Estimate(iterates.map { $0.measurements.values[metric] }))
    }
  }

  /// The neighbour noise along the curve: by n, the standard deviation of `changeCount` changes of the loss in a row, from
  /// one observed iterate to the next, around the middle one; over several seeds the root of their mean variance. Empty where
  /// there are fewer changes, or observations are not at even distances.
  public func noise() -> [(n: Int, noise: Double)] {
    let windows = seeds.flatMap { iterates -> [(n: Int, deviation: Double)] in
      let pairs = Array(zip(iterates, iterates.dropFirst()))
      let step = pairs.first.map { $1.n - $0.n }
      // The last one may be nearer, and is left out then.
      let even = pairs.prefix { $1.n - $0.n == step }
      guard even.count >= Self.changeCount, even.count >= pairs.count - 1 else { return [] }
      let changes = even.map { $1.measurements.loss - $0.measurements.loss }
      return (0...changes.count - Self.changeCount).map { first in
        let window = changes[first..<first + Self.changeCount]
        return (even[first + Self.changeCount / 2].0.n, standardDeviation(Array(window)) ?? 0)
      }
    }
    return Dictionary(grouping: windows, by: \.n).sorted { $0.key < $1.key }
      .map { n, windows in (n, mean(windows.map { $0.deviation * $0.deviation }).squareRoot()) }
  }

  public static let changeCount = 8
}
