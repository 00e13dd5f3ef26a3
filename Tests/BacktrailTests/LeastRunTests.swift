import Backtrail
import Foundation
import GRDB
import Replay
import TestSupport
import Testing

/// Runs that continue after lost rows, after an extension, or in another round: what is stored is not computed again,
/// and what is computed again has the same bits.
@Suite struct LeastRunTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func settings(_ change: (inout RunSettings) -> Void) -> RunSettings {
    var settings = RunSettings()
    settings.model = "mlp:8"
    settings.evaluationExamples = 20
    settings.batchSize = 8
    settings.averages = ["none"]
    settings.steps = 12
    change(&settings)
    return settings
  }

  private func train(_ name: String, _ change: (inout RunSettings) -> Void) async throws -> RunResult {
    try await NetworkRun.create(at: folder(name), RunSpecification(RunConfiguration(settings(change)))).finish()
  }

  private func digests(_ result: RunResult) -> [String] {
    (result.orders + result.averages).flatMap { series in
      series.iterates.map { "\(series.series) \(series.seed) \($0.n) \($0.digest) \($0.measurements.loss)" }
    }
  }

  private func delete(_ condition: String, from name: String) throws {
    let queue = try DatabaseQueue(path: folder("\(name)/run.sqlite"))
    try queue.write { try $0.execute(sql: "DELETE FROM observation WHERE \(condition)") }
    try queue.close()
  }

  /// Up to n = τ `splice:τ` and `tail:τ` equal `backward`, and `window:W` does up to W.
  @Test func whatAnotherOrderObservedIsTakenOver() async throws {
    let orders = ["backward@at:1,2,3,4,5,6,7,8", "splice:10@every:2", "tail:9@every:3", "window:7@at:5,7"]
    let whole = try await train("whole") { ($0.orders, $0.seedCount) = (orders, 2) }
    _ = try await train("run") { ($0.orders, $0.seedCount) = (orders, 2) }
    try delete("series <> 'backward'", from: "run")
    let result = try await NetworkRun.open(folder("run")).finish()
    // Only splices at 10 (exact) and 12 and tails at 9 (exact) and 12 are new; everything up to 8 equals backward.
    // Both that begin with batch 10 share it.
    #expect(result.gradientEvaluations == result.predictedGradientEvaluations)
    #expect(result.gradientEvaluations == 2 * (10 + 12 + 9 + 12 - 1))
    #expect(Set(digests(result)).symmetricDifference(digests(whole)).sorted() == [])
  }

  @Test func anExtensionTakesOverToo() async throws {
    _ = try await train("run") { $0.orders = ["backward@at:1,2,3,4,5,6,7,8,9,10,11,12", "splice:30@log:4"] }
    let result = try await NetworkRun.open(folder("run"), steps: 20).finish()
    // Of 1, 3, 7 and 20 only the last is new.
    #expect(result.gradientEvaluations == 20)
    let whole = try await train("whole") {
      ($0.orders, $0.steps) = (["backward@at:1,2,3,4,5,6,7,8,9,10,11,12", "splice:30@log:4"], 20)
    }
    let found = Set(digests(result))
    #expect(digests(whole).allSatisfy { found.contains($0) })
  }

  /// Lanes restore later states of forward's path, with the averages stored there, while another lane averages before
  /// them.
  @Test(arguments: [2, 4]) func averagesAreRightBesideOtherPathsOfStoredStates(lanes: Int) async throws {
    for round in 0..<cases(3, long: 100) {
      let name = "run \(lanes) \(round)"
      let whole = try await train(name) {
        ($0.orders, $0.steps, $0.evaluate) = (["forward", "splice:5"], 400, "every:10")
        ($0.averages, $0.checkpointEvery) = (["exponential:0.99", "polynomial:8"], 20)
      }
      try delete("series LIKE 'forward average%' AND n = 190", from: name)
      try delete("series = 'splice:5' AND n >= 210", from: name)
      let result = try await NetworkRun.open(folder(name), lanes: lanes).finish()
      #expect(result.gradientEvaluations == result.predictedGradientEvaluations)
      #expect(Set(digests(result)).symmetricDifference(digests(whole)).sorted() == [])
    }
  }
}
