import Backtrail
import Foundation
import TestSupport
import Testing

/// The reported costs of a run, and how results are stored.
@Suite struct RunResultTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func create(seeds: Int = 1) throws -> NetworkRun {
    var settings = RunSettings()
    settings.model = "mlp:4"
    settings.orders = ["forward", "backward"]
    settings.steps = 20
    settings.seedCount = seeds
    settings.evaluate = "every:4"
    settings.evaluationExamples = 20
    return try NetworkRun.create(at: folder("run"), RunSpecification(RunConfiguration(settings)))
  }

  @Test func aResumedRunWithNothingToDoKeepsWhatItCost() async throws {
    let first = try await create().finish()
    let again = try await NetworkRun.open(folder("run"), lanes: 1).finish()
    #expect(first.gradientEvaluations == 20 + 4 + 8 + 12 + 16 + 20)
    let (now, before) = (try JSONEncoder.sorted.encode(again), try JSONEncoder.sorted.encode(first))
    #expect(now == before)
    #expect(try StoredRun(folder("run")).status == "finished")
  }

  @Test func workOnAFinishedRunIsAddedToWhatItCost() async throws {
    let first = try await create().finish()
    let extended = try await NetworkRun.open(folder("run"), steps: 28).finish()
    let stored = try #require(try NetworkRun.open(folder("run")).result())
    #expect(extended.gradientEvaluations < stored.gradientEvaluations)
    #expect(stored.gradientEvaluations == first.gradientEvaluations + extended.gradientEvaluations)
    #expect(stored.predictedGradientEvaluations == stored.gradientEvaluations)
    #expect(stored.wallSeconds == first.wallSeconds + extended.wallSeconds)
    #expect(stored.orders.count == extended.orders.count)
  }

  @Test func resultsAreStoredWithoutTheIteratesThatTheObservationsAre() async throws {
    let run = try create(seeds: 2)
    let bare = try await run.finish(holdsIterates: false)
    #expect((bare.orders + bare.averages).allSatisfy { $0.iterates.isEmpty })
    let whole = try await run.finish()
    #expect(whole.orders.map { $0.iterates.map(\.n) } == Array(repeating: [4, 8, 12, 16, 20], count: 4))
    let stored = try #require(try run.result())
    #expect(stored.orders.allSatisfy { $0.iterates.isEmpty })
    // The document reads iterates while it is written, with the same keys and values as if they were held in memory.
    func object(_ value: some Encodable) throws -> NSDictionary? {
      try JSONSerialization.jsonObject(with: JSONEncoder().encode(value)) as? NSDictionary
    }
    let (written, held) = (try object(run.document(whole)), try object(whole))
    #expect(written == held)
  }

  /// The results of `Tests/Fixtures/Runs-v1` contain iterates.
  @Test(arguments: ["finished", "adaptive", "imported", "killed"])
  func runsOfVersion1AreShown(name: String) throws {
    let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/Runs-v1/\(name)")
    try FileManager.default.copyItem(atPath: fixtures.path, toPath: folder(name))
    let stored = try StoredRun(folder(name))
    #expect((stored.result == nil) == (name == "killed"))
    let observed = try stored.observed()
    let observations = try stored.observations()
    #expect(observations.count == stored.observationCount && !observations.isEmpty)
    #expect(observed.flatMap { $0.seeds.flatMap { $0 } }.count <= observations.count)
    for series in observed {
      let expected = observations.filter { $0.series.description == series.name }.map(\.digest)
      #expect(series.seeds.flatMap { $0.map(\.digest) } == expected)
    }
    let document = try #require(try JSONSerialization.jsonObject(with: JSONEncoder().encode(stored)) as? [String: Any])
    #expect((document["observations"] as? [Any])?.count == observations.count)
    let orders = (document["result"] as? [String: Any])?["orders"] as? [[String: Any]] ?? []
    for order in orders { #expect((order["iterates"] as? [Any])?.isEmpty == false) }
  }
}

extension JSONEncoder {
  fileprivate static var sorted: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return encoder
  }
}
