import Storage

/// The iterates a run has observed. They stay in its database and are read a page at a time.
public struct ObservedIterates: Sendable {
  let database: RunDatabase

  /// Gives `body` the iterates of one series of one seed, ascending in n.
  public func forEach(of series: String, seed: Int, _ body: (RunResult.Iterate) throws -> Void) throws {
    try database.forEachObservation(seed: seed, series: series) { observation in
      try body(
        RunResult.Iterate(
          n: observation.n, testLoss: observation.testLoss, testAccuracy: observation.testAccuracy, digest: observation.digest))
    }
  }

  public func all(of series: String, seed: Int) throws -> [RunResult.Iterate] {
    var iterates: [RunResult.Iterate] = []
    try forEach(of: series, seed: seed) { iterates.append($0) }
    return iterates
  }

  /// What charts show of the series called `names`.
  func series(_ names: [String], seeds: Range<Int>) throws -> [ObservedSeries] {
    try names.map { name in
      ObservedSeries(name: name, seeds: try seeds.map { try all(of: name, seed: $0) }.filter { !$0.isEmpty })
    }
  }
}
