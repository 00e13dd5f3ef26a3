import Formats
import Replay
import Tensors

/// The observations of one series for all seeds, as charts show them.
public struct ObservedSeries: Sendable {
  /// The name of the series or of a baseline.
  public let name: String
  /// The observations of each seed, in ascending order of n. In an unfinished run some seeds may have fewer.
  public let seeds: [[RunResult.Iterate]]
  /// The n at which it has diverged, by seed, which are not among the observations.
  public let diverged: [Int: [Int]]

  public init(name: String, seeds: [[RunResult.Iterate]], diverged: [Int: [Int]] = [:]) {
    self.name = name
    self.seeds = seeds
    self.diverged = diverged
  }

  /// The first n at which it has diverged, for each seed for which it has.
  public var firstDivergences: [SeedDivergence] {
    diverged.sorted { $0.key < $1.key }.compactMap { seed, points in points.min().map { SeedDivergence(seed: seed, n: $0) } }
  }

  /// The n at which it has diverged for every observed seed, so that its curve has a hole there.
  public var holes: [Int] {
    Set(diverged.values.joined()).subtracting(seeds.joined().map(\.n)).sorted()
  }

  /// The values of a metric by n, estimated over the seeds that were observed there and have not diverged.
  /// - Parameter metric: The index of the metric in the run's metrics.
  public func curve(_ metric: Int = 0) -> [(n: Int, estimate: Estimate)] {
    Dictionary(grouping: seeds.flatMap { $0 }, by: \.n).sorted { $0.key < $1.key }.map { n, iterates in
      (n, Estimate(iterates.map { $0.measurements.values[metric] }))
    }
  }

  /// The training losses by n, estimated over the seeds for which they were noted.
  public func trainingCurve() -> [(n: Int, estimate: Estimate)] {
    Dictionary(grouping: seeds.joined().filter { $0.trainingLoss != nil }, by: \.n).sorted { $0.key < $1.key }.map { n, iterates in
      (n, Estimate(iterates.compactMap(\.trainingLoss)))
    }
  }

  /// The neighbour noise along the curve. It is the standard deviation of `changeCount` successive changes of the
  /// loss from one observed iterate to the next, at the n in their middle; over several seeds, the root of the mean
  /// variance. Empty if there are fewer changes, or if observations are not evenly spaced.
  public func noise() -> [(n: Int, noise: Double)] {
    let windows = seeds.flatMap { iterates -> [(n: Int, deviation: Double)] in
      let pairs = Array(zip(iterates, iterates.dropFirst()))
      let step = pairs.first.map { $1.n - $0.n }
      // The last point may be closer, and is left out then.
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
