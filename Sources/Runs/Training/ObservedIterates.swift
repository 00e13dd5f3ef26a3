import Formats
import Replay
import Tensors

/// The iterates a run has observed. They stay in its database and are read a page at a time.
public struct ObservedIterates: Sendable {
  let database: RunDatabase

  package init(database: RunDatabase) { self.database = database }

  /// Calls `body` with the iterates of one series and seed, in ascending order of n.
  public func forEach(of series: Series, seed: Int, _ body: (RunResult.Iterate) throws -> Void) throws {
    try database.forEachObservation(seed: seed, series: series) { observation in
      try body(
        RunResult.Iterate(
          n: observation.n, measurements: observation.measurements, trainingLoss: observation.trainingLoss, digest: observation.digest))
    }
  }

  public func all(of series: Series, seed: Int) throws -> [RunResult.Iterate] {
    var iterates: [RunResult.Iterate] = []
    try forEach(of: series, seed: seed) { iterates.append($0) }
    return iterates
  }

  /// The n at which a series of one seed has diverged, in ascending order.
  public func diverged(of series: Series, seed: Int) throws -> [Int] { try database.diverged(seed: seed, series: series) }

  /// The metrics of the run, as far as they are known.
  var metrics: [Metric] { database.metrics }

  /// The observations of some series, as charts show them.
  func series(_ series: [Series], seeds: Range<Int>) throws -> [ObservedSeries] {
    try series.map { series in
      ObservedSeries(
        name: series.description, seeds: try seeds.map { try all(of: series, seed: $0) }.filter { !$0.isEmpty },
        diverged: Dictionary(uniqueKeysWithValues: try seeds.map { ($0, try diverged(of: series, seed: $0)) }).filter { !$0.value.isEmpty })
    }
  }
}
