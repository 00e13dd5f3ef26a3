import Backtrail
import Formats
import Foundation
import Replay
import Runs
import TestSupport
import Testing

/// Running averages of a run, stored in its checkpoints and computed from them afterwards.
@Suite struct ForwardAverageTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func train(_ name: String = "run", _ change: (inout RunSettings) -> Void = { _ in }) async throws -> NetworkRun {
    var settings = RunSettings()
    settings.model = "mlp:12"
    settings.orders = ["forward", "tail:7"]
    settings.averages = ["exponential:0.9", "uniform", "polynomial:8"]
    settings.steps = 64
    settings.evaluate = "every:32"
    settings.evaluationExamples = 200
    settings.batchSize = 8
    settings.learningRate = 0.1
    settings.checkpointEvery = 10
    change(&settings)
    let run = try NetworkRun.create(at: folder(name), RunSpecification(RunConfiguration(settings)))
    _ = try await run.finish()
    return try NetworkRun.open(folder(name))
  }

  private func averages(
    _ run: NetworkRun, _ specifications: [String], n: Int = 64, isExact: Bool = false
  ) async throws -> [ForwardAverages.Average] {
    try await run.averages(specifications.map { try AverageProfile($0) }, n: n, seeds: [0], isExact: isExact).averages
  }

  @Test func averagesMadeAfterwardsAreThoseOfForwardsPath() async throws {
    let run = try await train()
    let asked = ["exponential:0.9", "uniform:24", "exponential:0.95", "polynomial:5", "uniform:64", "uniform:1"]
    let made = try await averages(run, asked)
    let exact = try await averages(run, asked, isExact: true)
    #expect(made.map(\.average) == ["forward"] + asked)
    #expect(exact.allSatisfy { $0.weightDistance == 0 })
    for (made, exact) in zip(made, exact) {
      if made.weightDistance == 0 { #expect(made.digest == exact.digest, "\(made.average)") }
      #expect(abs(made.measurements.loss - exact.measurements.loss) < 1e-3 * (1 + made.weightDistance), "\(made.average)")
    }
    // The iterate, the stored averages, and the mean of all; the mean of one is the iterate.
    #expect(made.filter { $0.weightDistance == 0 }.map(\.average) == ["forward", "exponential:0.9", "uniform:64", "uniform:1"])
    #expect(made[6].digest == made[0].digest)
    // A checkpoint contains the mean of the first 40, from which that of the last 24 follows.
    #expect(made[2].weightDistance < 0.01)
    // A few wide averages can't represent a short window.
    #expect(try await averages(run, ["uniform:6"])[1].weightDistance > 0.1)
  }

  /// The mean of the last 24 differs from the mean of all by much more than the error of a synthesis.
  @Test func differentAveragesDiffer() async throws {
    let found = try await averages(train(), ["uniform", "uniform:24", "polynomial:5"])
    #expect(abs(found[1].measurements.loss - found[2].measurements.loss) > 0.02)
    #expect(Set(found.map(\.digest)).count == 4)
  }

  @Test func onlyStoredIteratesHaveAverages() async throws {
    let run = try await train()
    for n in [10, 60, 64] { #expect(try await averages(run, ["uniform"], n: n)[1].weightDistance == 0) }
    await #expect(throws: RunError.self) { try await averages(run, ["uniform"], n: 63) }
    #expect(try await averages(run, ["uniform"], n: 63, isExact: true)[1].weightDistance == 0)
    await #expect(throws: AverageError.tooLong(65, n: 64)) { try await averages(run, ["uniform:65"]) }
    let without = try await train("without") { $0.checkpointEvery = 0 }
    await #expect(throws: RunError.self) { try await averages(without, ["uniform"]) }
    #expect(try await averages(without, ["uniform"], isExact: true)[1].digest == averages(run, ["uniform"])[1].digest)
  }

  /// Each file of a checkpoint with averages is damaged, missing or replaced: this is named, the file is never used,
  /// and it is computed again with the same bits.
  @Test func damagedAveragesAreNamedAndComputedAgain() async throws {
    _ = try await train()
    let files = try FileManager.default.contentsOfDirectory(atPath: folder("run/checkpoints"))
    let damaged = files.filter { $0.hasPrefix("0-forward-64-20") }
    #expect(damaged.count == 4)
    for file in damaged {
      let path = "run/checkpoints/\(file)"
      let whole = try folder.read(path)
      var flipped = whole
      flipped[flipped.count / 2] ^= 1
      let other = try folder.read(path.replacingOccurrences(of: "64-20", with: "64-30"))
      for bytes in [flipped, Array(whole.dropLast(9)), other] {
        try folder.write(bytes, to: path)
        let run = try NetworkRun.open(folder("run"))
        await #expect {
          _ = try await averages(run, ["exponential:0.9", "uniform", "polynomial:8"], n: 20)
        } throws: { "\($0)".contains(file) && $0 is StorageError }
        let report = try await NetworkRun.verify(run.folder.path, replays: 0, repairs: true)
        #expect(report.damaged.count == 1 && report.damaged[0].contains(file))
        // The replay starts from the checkpoint before it.
        #expect(report.isClean && report.gradientEvaluations == 10)
        #expect(try folder.read(path) == whole)
      }
    }
  }

  /// A resumed run starts where all its averages are, and ends with their bits.
  @Test func aRunGoesOnFromStoredAverages() async throws {
    let long = try await train("long") { ($0.steps, $0.evaluate) = (90, "every:30") }
    _ = try await train("short") { ($0.steps, $0.evaluate) = (60, "every:30") }
    let file = try #require(
      FileManager.default.contentsOfDirectory(atPath: folder("short/checkpoints")).first { $0.hasPrefix("0-forward-60-60-polynomial") })
    try folder.write([1, 2, 3], to: "short/checkpoints/\(file)")
    let extended = try NetworkRun.open(folder("short"), steps: 90)
    let result = try await extended.finish()
    // Without the average at 60 forward continues at 50; so does the tail's head, of length 83, and then the tail has
    // its 7.
    #expect(result.gradientEvaluations == 40 + 33 + 7)
    let found = try await averages(extended, ["exponential:0.9", "uniform", "polynomial:8"], n: 90)
    #expect(try await averages(long, ["exponential:0.9", "uniform", "polynomial:8"], n: 90).map(\.digest) == found.map(\.digest))
  }

  @Test func filesAndRecordsAgree() async throws {
    let budget = 300 << 10
    let run = try await train("run") { ($0.diskBudget, $0.checkpointEvery, $0.lanes) = ("300KiB", 2, 1) }
    let records = try RunDatabase.open(run.folder).checkpoints()
    let named = records.flatMap { [$0.file] + $0.averages.map(\.file) }.sorted()
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder("run/checkpoints")).sorted() == named)
    #expect(records.contains { $0.averages.count == 3 && $0.position == 64 })
    #expect(run.folder.checkpointBytes <= budget && run.folder.checkpointBytes > budget / 2)
    #expect(records.reduce(0) { $0 + $1.bytes } == run.folder.checkpointBytes)
    // Files that no record names are removed.
    try folder.write([1], to: "run/checkpoints/0-forward-64-2-uniform.ckpt")
    _ = try await run.finish()
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder("run/checkpoints")).sorted() == named)
  }
}
