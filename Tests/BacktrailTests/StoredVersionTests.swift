import Backtrail
import Foundation
import TestSupport
import Testing

/// Promise "old runs stay readable": folders written by earlier releases, as they were committed then.
@Suite struct StoredVersionTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures")

  /// A copy of the folder that may be changed.
  private func run(_ name: String, version: Int) throws -> String {
    let path = folder("\(version)-\(name)")
    try FileManager.default.copyItem(
      atPath: Self.fixtures.appendingPathComponent("Runs-v\(version)/\(name)").path, toPath: path)
    return path
  }

  /// The output of `train --json` when the run was made: its digests by order, seed and n.
  private func digests(_ name: String, version: Int) throws -> [String: String] {
    let data = try Data(contentsOf: Self.fixtures.appendingPathComponent("Runs-v\(version)/\(name).json"))
    let document = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    var digests: [String: String] = [:]
    for key in ["orders", "averages"] {
      for series in try #require(document[key] as? [[String: Any]]) {
        for iterate in try #require(series["iterates"] as? [[String: Any]]) {
          digests["\(series["order"] ?? "") \(series["seed"] ?? "") \(iterate["n"] ?? "")"] = iterate["digest"] as? String
        }
      }
    }
    return digests
  }

  @Test(arguments: [("finished", 1), ("imported", 1), ("adaptive", 1), ("finished", 2)])
  func finishedRunsOpenVerifyAndResume(name: String, version: Int) async throws {
    let path = try run(name, version: version)
    let shown = try StoredRun(path)
    #expect(shown.status == "finished" && shown.observationCount > 0)
    // Their kernels were others.
    let report = try await NetworkRun.verify(path, replays: 6, repairs: false, allowNumericsChange: true)
    #expect(report.checkpoints > 3)
    let opened = try NetworkRun.open(path, allowNumericsChange: true)
    // Reading leaves the folder unchanged.
    #expect(try StoredRun(path).observations() == shown.observations())
    let result = try await opened.finish()
    // There was nothing to do, so the stored cost is unchanged.
    #expect(result.gradientEvaluations == shown.result?.gradientEvaluations && result.wallSeconds == shown.result?.wallSeconds)
    let expected = try digests(name, version: version)
    #expect(!expected.isEmpty)
    for series in result.orders + result.averages {
      for iterate in series.iterates {
        #expect(expected["\(series.series) \(series.seed) \(iterate.n)"] == iterate.digest.description)
      }
    }
    let extended = try NetworkRun.open(path, allowNumericsChange: true)
    _ = try await extended.iterate(.forward, 7, seed: 0)
  }

  /// Such runs ended at the first iterate that had diverged. They go on to their end.
  @Test func aRunThatDivergedGoesOn() async throws {
    let path = try run("diverged", version: 2)
    let before = try StoredRun(path).observations()
    #expect(try StoredRun(path).status == "failed" && !before.isEmpty && StoredRun(path).divergences().isEmpty)
    let result = try await NetworkRun.open(path, allowNumericsChange: true).finish()
    let stored = try StoredRun(path)
    #expect(stored.status == "finished" && stored.firstDivergences.contains(DivergedIterate(seed: 0, series: .backward, n: 51)))
    #expect(try Set(before).isSubset(of: stored.observations()))
    #expect(result.orders.allSatisfy { $0.iterates.count + $0.diverged.count == 20 })
    let again = try await NetworkRun.open(path, allowNumericsChange: true).finish()
    #expect(again.wallSeconds == result.wallSeconds)
    #expect(try await NetworkRun.verify(path, replays: 20, repairs: false, allowNumericsChange: true).damaged.isEmpty)
  }

  /// The run was killed halfway, and what it had stored is used.
  @Test func aKilledRunIsResumed() async throws {
    let path = try run("killed", version: 1)
    #expect(try StoredRun(path).status == "unfinished")
    let result = try await NetworkRun.open(path, allowNumericsChange: true).finish()
    #expect(result.gradientEvaluations > 0 && result.gradientEvaluations < 30_000)
    #expect(result.orders.allSatisfy { $0.iterates.count == 12 })
    #expect(try StoredRun(path).status == "finished")
    let again = try await NetworkRun.open(path, allowNumericsChange: true).finish()
    #expect(again.gradientEvaluations == result.gradientEvaluations && again.wallSeconds == result.wallSeconds)
  }
}
