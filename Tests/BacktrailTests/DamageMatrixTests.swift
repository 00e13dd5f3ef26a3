import Backtrail
import Formats
import Foundation
import Runs
import TestSupport
import Testing

/// Promise "nothing unverified is used": whatever set of a run's files is damaged in whatever way,
/// verification names exactly those, repairs make the run intact, and training from it gives the same bits.
@Suite struct DamageMatrixTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private enum Damage: CaseIterable {
    case flip, truncate, delete, swap
  }

  private func makeRun(_ name: String, chain: Int) async throws -> RunResult {
    var settings = RunSettings()
    settings.model = "mlp:4"
    settings.orders = ["forward", "tail:3", "backward"]
    settings.steps = 20
    settings.evaluate = "every:5"
    settings.evaluationExamples = 20
    settings.checkpointEvery = 5
    settings.checkpointChain = chain
    settings.seedCount = 2
    return try await NetworkRun.create(at: folder(name), RunSpecification(RunConfiguration(settings))).finish()
  }

  private func digests(_ result: RunResult) -> [String] {
    (result.orders + result.averages).flatMap { series in series.iterates.map { "\(series.series) \(series.seed) \($0.n) \($0.digest)" } }
  }

  @Test(arguments: [0, 3])
  func everySubset(chain: Int) async throws {
    let whole = try await makeRun("run", chain: chain)
    let checkpoints = try FileManager.default.contentsOfDirectory(atPath: folder("run/checkpoints")).sorted()
    #expect(checkpoints.count > 20)
    var random = SplitMix(state: UInt64(chain) + 5)
    for _ in 0..<cases(8, long: 200) {
      try? FileManager.default.removeItem(atPath: folder("copy"))
      try FileManager.default.copyItem(atPath: folder("run"), toPath: folder("copy"))
      var damaged: Set<String> = []
      let chosen = checkpoints.shuffled(using: &random).prefix(Int.random(in: 1...6, using: &random))
      for file in chosen where !damaged.contains(file) {
        let path = "copy/checkpoints/\(file)"
        var bytes = try folder.read(path)
        switch Damage.allCases.randomElement(using: &random) ?? .flip {
        case .flip:
          bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
          try folder.write(bytes, to: path)
        case .truncate:
          bytes.removeLast(Int.random(in: 1...bytes.count, using: &random))
          try folder.write(bytes, to: path)
        case .delete:
          try FileManager.default.removeItem(atPath: folder(path))
        case .swap:
          let other = try #require(checkpoints.filter { $0 != file && !damaged.contains($0) }.randomElement(using: &random))
          let others = try folder.read("copy/checkpoints/\(other)")
          guard others != bytes else { continue }
          try folder.write(others, to: path)
          try folder.write(bytes, to: "copy/checkpoints/\(other)")
          damaged.insert(other)
        }
        damaged.insert(file)
      }
      if Bool.random(using: &random) {
        var journal = try folder.read("copy/batches.zst")
        journal[Int.random(in: 0..<journal.count, using: &random)] ^= 4
        try folder.write(journal, to: "copy/batches.zst")
        damaged.insert("batches.zst")
      }
      let found = try await NetworkRun.verify(folder("copy"), replays: 2, repairs: false)
      for file in damaged { #expect(found.damaged.contains { $0.contains("/\(file)") }, "\(file) is not named") }
      for text in found.damaged where chain == 0 {
        #expect(damaged.contains { text.contains("/\($0)") }, "\(text): damage where there is none")
      }
      // Without repairs a run is resumed to the same bits, and repairs lead to the same bits.
      if Bool.random(using: &random) {
        let repaired = try await NetworkRun.verify(folder("copy"), replays: 2, repairs: true)
        #expect(repaired.isClean, "\(repaired.damaged) \(repaired.repaired)")
        let clean = try await NetworkRun.verify(folder("copy"), replays: 4, repairs: false)
        #expect(clean.damaged.isEmpty, "\(clean.damaged)")
      } else if damaged.contains("batches.zst") {
        continue
      }
      let database = try RunDatabase.open(RunFolder(path: folder("copy")), for: .writing)
      for observation in try database.observations() where Bool.random(using: &random) { try database.delete(observation) }
      let resumed = try await NetworkRun.open(folder("copy")).finish()
      #expect(digests(resumed) == digests(whole))
    }
  }

  /// The orders that a search for τ observed belong to the run, even if the search ends differently after a row is
  /// lost.
  @Test func rowsOfASearch() async throws {
    var settings = RunSettings()
    settings.model = "mlp:4"
    settings.orders = ["tail:auto"]
    settings.tolerance = 1e-4
    settings.steps = 300
    settings.evaluate = "every:100"
    settings.evaluationExamples = 20
    settings.checkpointEvery = 100
    let whole = try await NetworkRun.create(at: folder("run"), RunSpecification(RunConfiguration(settings))).finish()
    let database = try RunDatabase.open(RunFolder(path: folder("run")), for: .writing)
    let observations = try database.observations()
    #expect(Set(observations.map(\.series)).count > 3)
    for seed in 0..<4 {
      var random = SplitMix(state: UInt64(seed))
      for observation in observations where Int.random(in: 0..<4, using: &random) == 0 {
        if (try database.observation(seed: 0, series: observation.series, n: observation.n)) != nil { try database.delete(observation) }
      }
      _ = try await NetworkRun.verify(folder("run"), replays: 3, repairs: true)
      let report = try await NetworkRun.verify(folder("run"), replays: 1000, repairs: false)
      #expect(report.damaged.isEmpty, "\(report.damaged)")
      let resumed = try await NetworkRun.open(folder("run")).finish()
      #expect(digests(resumed) == digests(whole))
    }
  }

  /// A finished run also counts as damaged if rows are missing or were observed with another digest.
  @Test func rowsThatAreMissingOrChanged() async throws {
    let whole = try await makeRun("run", chain: 0)
    let database = try RunDatabase.open(RunFolder(path: folder("run")), for: .writing)
    let observations = try database.observations()
    let missing = try #require(observations.first { $0.series == .backward && $0.n == 10 && $0.seed == 1 })
    try database.delete(missing)
    var changed = try #require(observations.first { $0.series == .average(.polynomial(8)) && $0.n == 15 && $0.seed == 0 })
    let values = changed.measurements.values
    changed.measurements = Measurements([values[0] + 1e-9] + values.dropFirst(), of: changed.measurements.metrics)
    try database.replace(changed)
    let found = try await NetworkRun.verify(folder("run"), replays: 10_000, repairs: false)
    #expect(found.damaged.count == 2, "\(found.damaged)")
    // A resume that is refused before it begins leaves the run unchanged, including the record of what is missing.
    try FileManager.default.moveItem(atPath: folder("run/checkpoints"), toPath: folder("elsewhere"))
    try folder.write("no folder", to: "run/checkpoints")
    await #expect(throws: StorageError.self) { try await NetworkRun.open(folder("run")).finish() }
    try FileManager.default.removeItem(atPath: folder("run/checkpoints"))
    try FileManager.default.moveItem(atPath: folder("elsewhere"), toPath: folder("run/checkpoints"))
    #expect(try await NetworkRun.verify(folder("run"), replays: 0, repairs: false).damaged.count == 1)
    #expect(found.damaged.contains { $0.contains("backward (seed 1)") && $0.contains("n = 10") })
    #expect(found.damaged.contains { $0.contains("iterate 15 of forward average polynomial:8 (seed 0)") })
    let repaired = try await NetworkRun.verify(folder("run"), replays: 10_000, repairs: true)
    #expect(repaired.isClean)
    #expect(try await NetworkRun.verify(folder("run"), replays: 10_000, repairs: false).damaged.isEmpty)
    #expect(digests(try await NetworkRun.open(folder("run")).finish()) == digests(whole))
  }
}
