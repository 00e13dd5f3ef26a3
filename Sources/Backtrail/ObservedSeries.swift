import Replay
import Storage

/// What was observed of one order, or of an average, with all seeds: what charts show.
public struct ObservedSeries: Sendable {
  public let name: String
  /// By seed, ascending in n; a run that is not finished may have seen less of some.
  public let seeds: [[RunResult.Iterate]]

  public init(name: String, seeds: [[RunResult.Iterate]]) {
    self.name = name
    self.seeds = seeds
  }

  public enum Quantity: Sendable {
    case testLoss, testAccuracy
  }

  /// A quantity by n, over the seeds that were observed there.
  public func curve(_ quantity: Quantity) -> [(n: Int, estimate: Estimate)] {
    Dictionary(grouping: seeds.flatMap { $0 }, by: \.n).sorted { $0.key < $1.key }.map { n, iterates in
      (n, Estimate(iterates.map { quantity == .testLoss ? $0.testLoss : $0.testAccuracy }))
    }
  }

  /// The neighbour noise along the curve: by n, the standard deviation of `changeCount` changes of the test loss in a row, from
  /// one observed iterate to the next, around the middle one; over several seeds the root of their mean variance. Empty where
  /// there are fewer changes, or observations are not at even distances.
  public func noise() -> [(n: Int, noise: Double)] {
    let windows = seeds.flatMap { iterates -> [(n: Int, deviation: Double)] in
      let pairs = Array(zip(iterates, iterates.dropFirst()))
      let step = pairs.first.map { $1.n - $0.n }
      // The last one may be nearer, and is left out then.
      let even = pairs.prefix { $1.n - $0.n == step }
      guard even.count >= Self.changeCount, even.count >= pairs.count - 1 else { return [] }
      let changes = even.map { $1.testLoss - $0.testLoss }
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

extension BaselineResult {
  public var observed: ObservedSeries { ObservedSeries(name: summary.series, seeds: series.map(\.iterates)) }
}

extension StoredRun {
  /// All that was observed, whether the run has finished or not: orders and averages as the summary names them, if there is one.
  public func observed() throws -> [ObservedSeries] {
    let database = try database()
    let names = try result?.summary.map(\.series) ?? configuration.sorted(series: database.observedSeries())
    return try ObservedIterates(database: database).series(names, seeds: configuration.seeds)
  }
}

extension RunConfiguration {
  /// Series in the order their orders were asked for, forward's average behind forward, then those that automatic orders
  /// looked at.
  public func sorted(series: [String]) -> [String] {
    let asked = self.orders.map { OrderRequest($0).order }
    func rank(_ series: String) -> Int {
      asked.firstIndex { series == $0 || $0 == "forward" && series.hasPrefix("forward average") } ?? asked.count
    }
    return series.sorted { (rank($0), $0.count, $0) < (rank($1), $1.count, $1) }
  }
}
