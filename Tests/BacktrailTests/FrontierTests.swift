import Backtrail
import Foundation
import TestSupport
import Testing

@Suite struct FrontierTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func settings(_ change: (inout RunSettings) -> Void = { _ in }) -> RunSettings {
    var settings = RunSettings()
    settings.model = "mlp:12"
    settings.orders = ["forward", "backward", "tail:8", "splice:8"]
    settings.steps = 120
    settings.evaluate = "every:1"
    settings.evaluationExamples = 100
    settings.batchSize = 16
    settings.seedCount = 3
    settings.lanes = 2
    change(&settings)
    return settings
  }

  private func trained(_ name: String, _ change: (inout RunSettings) -> Void = { _ in }) async throws -> NetworkRun {
    let run = try NetworkRun.create(at: folder(name), RunSpecification(RunConfiguration(settings(change))))
    _ = try await run.finish()
    return run
  }

  @Test func errorsAreDistancesToTheExactCurve() async throws {
    let run = try await trained("run")
    let frontier = try await run.frontier(from: 60)
    #expect(frontier.comparedCount == 61)
    #expect(frontier.exact?.lossError.mean == 0)
    #expect(frontier.exact?.gradientEvaluations == 120 * 121 / 2)
    #expect(frontier.exact?.skill?.mean == 1)

    // The result for tail:8 at every n, computed by hand.
    let observations = try StoredRun(folder("run")).observations()
    func losses(_ series: Series, _ seed: Int) -> [Int: Double] {
      Dictionary(uniqueKeysWithValues: observations.filter { $0.series == series && $0.seed == seed }.map { ($0.n, $0.measurements.loss) })
    }
    let errors = try (0..<3).map { seed in
      let tail = losses(.order(.tail(8)), seed), exact = losses(.backward, seed)
      return try (60...120).map { abs(try #require(tail[$0]) - (try #require(exact[$0]))) }.reduce(0, +) / 61
    }
    let point = try #require(frontier.points.first { $0.series == .order(.tail(8)) && $0.schedule == "every:1" })
    #expect(abs(point.lossError.mean - errors.reduce(0, +) / 3) < 1e-12)
    #expect(point.gradientEvaluations == 36 + 112 + 8 * 112)
    #expect(try #require(point.distance).mean > 0)

    // The head of a splice is forward's path, which contains batch 1 alone and batch 8 after 1 … 7.
    let splice = try #require(frontier.points.first { $0.series == .order(.splice(8)) && $0.schedule == "every:1" })
    #expect(splice.gradientEvaluations == 36 - 1 + 112 + 8 * 112 - 1)
  }

  @Test func thePointsOfTheFrontAreNotDominated() async throws {
    let frontier = try await trained("run").frontier(measuresDistance: false)
    #expect(frontier.points.count > 20)
    for point in frontier.points {
      let isDominated = frontier.points.contains {
        $0.gradientEvaluations <= point.gradientEvaluations && $0.lossError.mean <= point.lossError.mean
          && ($0.gradientEvaluations < point.gradientEvaluations || $0.lossError.mean < point.lossError.mean)
      }
      #expect(point.isOptimal == !isDominated)
      let skill = try #require(point.skill)
      #expect(point.hasSkill == (skill.interval.lowerBound > 0))
      #expect(skill.halfWidth != nil)
    }
    // Forward's own curve is one of the guesses, so it has no skill.
    #expect(frontier.points.first { $0.series == .forward && $0.schedule == "every:1" }?.hasSkill == false)
    // The smaller the error bound of an automatic schedule, the higher its cost.
    let costs = [0.02, 0.01, 0.005, 0.002, 0.001, 0.0005].compactMap { error in
      frontier.points.first { $0.schedule == "auto:\(error)" }?.gradientEvaluations
    }
    #expect(costs.count > 2 && costs == costs.sorted())
  }

  @Test func whatCanNotBeComparedIsSaid() async throws {
    let forward = try await trained("forward") { $0.orders = ["forward"] }
    await #expect { try await forward.frontier() } throws: { "\($0)".contains("no backward curve") }
    let seldom = try await trained("seldom") { $0.evaluate = "at:120" }
    await #expect { try await seldom.frontier() } throws: { "\($0)".contains("but 3 are needed") }
  }

  @Test func baselinesSeeTheSameExamples() async throws {
    let run = try await trained("run") {
      $0.orders = ["forward", "backward"]
      $0.evaluate = "every:20"
    }
    let cosine = try await run.train(Baseline("cosine"))
    #expect(cosine.curves.map { $0.iterates.map(\.n) } == Array(repeating: [20, 40, 60, 80, 100, 120], count: 3))
    #expect(cosine.summary.gradientEvaluations == 3 * 120)
    let large = try await run.train(Baseline("batch:4"))
    #expect(large.curves.map { $0.iterates.map(\.n) } == Array(repeating: [20, 40, 60, 80, 100, 120], count: 3))
    #expect(large.summary.gradientEvaluations == 3 * 30)
    // The same baseline is read the second time, not trained.
    let begin = ContinuousClock.now
    let again = try await run.train(Baseline("batch:4"))
    #expect(again.curves.map { $0.iterates.map(\.digest) } == large.curves.map { $0.iterates.map(\.digest) })
    #expect(.now - begin < .seconds(1))
    let stored = try StoredRun(folder("run")).baselines
    #expect(stored.map(\.baseline) == [.largerBatch(size: 4, rate: 4), .cosine])
    #expect(stored[0].curves.map { $0.iterates.map(\.n) } == large.curves.map { $0.iterates.map(\.n) })
    // The rows of the run itself are unchanged.
    #expect(try StoredRun(folder("run")).result?.summary.map(\.name).contains("forward") == true)
  }

  @Test(arguments: ["", "sgd", "batch", "batch:1", "batch:x", "batch:4:0", "batch:4:5:6", "cosine:3"])
  func senselessBaselinesAreRefused(specification: String) {
    #expect(throws: RunError.self) { try Baseline(specification) }
  }

  @Test func settingsThatChangeNoBitChangeNone() async throws {
    let run = try await trained("run") { $0.evaluate = "every:40" }
    let swept = try [SweptSetting("checkpoint-every=0,20"), SweptSetting("lanes=1"), SweptSetting("start-precision=bfloat16"), SweptSetting("memory-budget=1MiB")]
    var refused: [String] = []
    let sweep = SettingSweep(settings { $0.evaluate = "every:40" }, beside: run) { settings, path in
      try await NetworkRun.create(at: path, RunSpecification(RunConfiguration(settings))).finish()
    }
    let points = try await sweep.measure(swept) { refused.append($0) }
    #expect(points.map(\.setting) == ["", "checkpoint-every", "checkpoint-every", "lanes", "start-precision"])
    #expect(points.map(\.hasSameBits) == [true, true, true, true, false])
    #expect(points[1].storedBytes < points[2].storedBytes)
    #expect(points[1].recallEvaluations > points[2].recallEvaluations)
    // There are ten iterates each at 12, 24, … 120, with a state at every 20: 12 + 4 + 16 + 8 + 0 twice.
    #expect(points[2].recallEvaluations == 8)
    #expect(points[4].lossError.mean > 0)
    #expect(refused.count == 1 && refused[0].contains("memory-budget"))
    #expect(!FileManager.default.fileExists(atPath: folder("run") + "/sweep"))
  }

  @Test func settingsComeBackFromAConfiguration() throws {
    let given = settings {
      $0.orders = ["backward", "tail:8@every:3"]
      $0.learningRate = 0.25
      $0.averages = ["uniform"]
      $0.checkpointEvery = 7
      $0.startPrecision = "float16"
    }
    let configuration = try RunConfiguration(given)
    #expect(try RunConfiguration(RunSettings(configuration)) == configuration)
  }

  @Test(arguments: ["depth=3", "checkpoint-every=", "checkpoint-every=1,,2", ""])
  func senselessSettingsAreRefused(specification: String) {
    #expect(throws: RunError.self) { try SweptSetting(specification) }
  }
}

/// Baselines of a run are found again, and made of what the run's own folder holds.
@Suite struct BaselineTests {
  /// A number's exponent has a dash of its own, which parts a folder's name as well.
  @Test(arguments: ["cosine", "batch:8", "batch:8:2.83", "batch:8:1e-05", "batch:2:1e+20"])
  func baselinesComeBackFromTheirFolders(specification: String) async throws {
    let folder = try TemporaryFolder()
    var settings = RunSettings()
    (settings.model, settings.steps, settings.evaluate, settings.evaluationExamples) = ("linear", 16, "every:8", 20)
    (settings.orders, settings.learningRate) = (["forward"], 1e-4)
    let run = try NetworkRun.create(at: folder("run"), RunSpecification(RunConfiguration(settings)))
    try await run.finish()
    let baseline = try Baseline(specification)
    _ = try await run.train(baseline)
    #expect(try StoredRun(folder("run")).baselines.map(\.baseline) == [baseline])
  }

  /// The sampler's file may have changed, or be gone, since the run was made.
  @Test func batchesAreThoseOfTheJournal() async throws {
    let folder = try TemporaryFolder()
    var random = SplitMix(state: 5)
    let lines = (0..<20).map { _ in (0..<4).map { _ in "\(Int.random(in: 0..<1000, using: &random))" }.joined(separator: " ") }
    try folder.write(lines.joined(separator: "\n") + "\n", to: "batches.txt")
    var settings = RunSettings()
    (settings.model, settings.steps, settings.evaluate, settings.evaluationExamples) = ("linear", 20, "every:5", 20)
    (settings.orders, settings.sampler) = (["forward"], "file:\(folder("batches.txt"))")
    let run = try NetworkRun.create(at: folder("run"), RunSpecification(RunConfiguration(settings)))
    try await run.finish()
    let before = try await NetworkRun.open(folder("run")).train(.cosine).curves[0].iterates.map(\.digest)
    try FileManager.default.removeItem(atPath: folder("run/baselines"))
    try FileManager.default.removeItem(atPath: folder("batches.txt"))
    let after = try await NetworkRun.open(folder("run")).train(.cosine).curves[0].iterates.map(\.digest)
    #expect(before == after && before.count == 4)
  }
}
