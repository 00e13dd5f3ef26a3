import Backtrail
import Foundation
import Replay
import TestSupport
import Testing

/// Runs whose orders and schedules depend on their observations.
@Suite struct AutomaticRunTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func settings(_ change: (inout RunSettings) -> Void) -> RunSettings {
    var settings = RunSettings()
    settings.model = "mlp:16"
    settings.orders = ["forward", "backward"]
    settings.steps = 200
    settings.evaluationExamples = 200
    settings.batchSize = 16
    settings.lanes = 2
    change(&settings)
    return settings
  }

  private func train(_ name: String, _ change: (inout RunSettings) -> Void) async throws -> RunResult {
    let run = try NetworkRun.create(at: folder(name), RunSpecification(RunConfiguration(settings(change))))
    return try await run.finish()
  }

  private func losses(_ result: RunResult, _ order: String) throws -> [Int: Double] {
    let series = try #require(result.orders.first { $0.series.description == order })
    return Dictionary(uniqueKeysWithValues: series.iterates.map { ($0.n, $0.measurements.loss) })
  }

  @Test func anAutomaticScheduleKnowsTheExactCurve() async throws {
    let exact = try losses(await train("exact") { $0.evaluate = "every:1" }, "backward")
    let result = try await train("auto") { $0.evaluate = "auto:0.01" }
    let observed = try losses(result, "backward")
    for (n, loss) in observed { #expect(loss == exact[n]) }
    let curve = Curve(observed.map { ($0.key, $0.value) })
    let error = exact.reduce(0) { $0 + abs(curve.value(at: $1.key) - $1.value) } / Double(exact.count)
    #expect(error < 0.015)
    #expect(result.gradientEvaluations < 200 * 201 / 2 / 2)
    #expect(result.gradientEvaluations == result.predictedGradientEvaluations)
    // Forward is replayed once, and observed at the n of backward.
    #expect(try losses(result, "forward").keys.sorted() == observed.keys.sorted())
    let finding = try #require(result.findings?.first { $0.order == "backward" })
    #expect(finding.observed == observed.count)
    #expect((finding.estimatedError ?? 1) <= 0.01)
  }

  @Test func anAutomaticTailSettlesWhereDoublingChangesLittle() async throws {
    let result = try await train("tail") {
      $0.orders = ["tail:auto"]
      $0.evaluate = "every:20"
      $0.tolerance = 0.02
      $0.seedCount = 2
    }
    let finding = try #require(result.findings?.first { $0.order == "tail:auto" })
    let tail = try #require(finding.tail)
    #expect(tail >= 16 && tail & (tail - 1) == 0)
    if tail < 200 {
      #expect(try #require(finding.tailChange).interval.upperBound < 0.02)
      let error = try #require(finding.tailError)
      // The error is measured against exact backward, at the n that it names.
      let exact = try losses(result, "backward"), own = try losses(result, "tail:\(tail)")
      let points = try #require(finding.exactPoints)
      #expect(!points.isEmpty)
      for n in points { #expect(exact[n] != nil && own[n] != nil) }
      #expect(error.mean >= 0)
    }
    #expect(try losses(result, tail < 200 ? "tail:\(tail)" : "backward").count >= 10)
  }

  @Test func aStricterToleranceNeedsALongerTail() async throws {
    var tails: [Int] = []
    for tolerance in [0.5, 1e-9] {
      let result = try await train("tolerance \(tolerance)") {
        $0.orders = ["tail:auto"]
        $0.evaluate = "at:200"
        $0.tolerance = tolerance
      }
      tails.append(try #require(result.findings?.first?.tail))
    }
    #expect(tails == [16, 200])
  }

  @Test(arguments: [1500, 6000]) func aBudgetOfEvaluationsIsKept(budget: Int) async throws {
    let result = try await train("budget") { $0.costBudget = String(budget) }
    #expect(result.gradientEvaluations <= budget)
    #expect(Double(result.gradientEvaluations) >= 0.85 * Double(budget))
  }

  /// Every observation round of a path replays it, and the search for τ has a cost too.
  @Test(arguments: [(["forward"], 1500), (["forward", "sliding:2"], 3000), (["tail:auto"], 2500), (["tail:auto", "forward"], 2500)])
  func aBudgetIsKeptByWhatIsWalkedSeveralTimes(orders: [String], budget: Int) async throws {
    let result = try await train("paths") {
      $0.orders = orders
      $0.tolerance = 0.5
      $0.costBudget = String(budget)
    }
    #expect(result.gradientEvaluations <= budget)
    #expect(result.gradientEvaluations > budget / 2)
    for series in result.orders { #expect(!series.iterates.isEmpty, "\(series.series)") }
  }

  @Test func aCurveThatIsObservedEverywhereHasNoBudgetToBlame() async throws {
    let result = try await train("everywhere") {
      $0.steps = 2
      $0.evaluate = "auto:0.01"
    }
    #expect(try #require(result.findings?.first).isBudgetSpent == false)
  }

  @Test func interruptedAutomaticRunsGoOnWhereTheyWere() async throws {
    let expected = try await train("whole") { $0.evaluate = "auto:0.01" }
    let run = try NetworkRun.create(at: folder("parts"), RunSpecification(RunConfiguration(settings { $0.evaluate = "auto:0.01" })))
    let progress = ReplayProgress()
    let training = Task { try await run.finish(progress: progress) }
    while progress.observations < 12 { try await Task.sleep(for: .milliseconds(1)) }
    training.cancel()
    _ = try? await training.value
    let result = try await NetworkRun.open(folder("parts")).finish()
    #expect(try losses(result, "backward") == losses(expected, "backward"))
    #expect(try losses(result, "forward") == losses(expected, "forward"))
  }

  @Test(arguments: [
    ("evaluate", "auto:-1"), ("evaluate", "auto:x"), ("cost-budget", "soon"), ("cost-budget", "-5s"), ("tolerance", "0"),
  ]) func senselessSettingsAreRefused(flag: String, value: String) {
    let changed = settings {
      switch flag {
      case "evaluate": $0.evaluate = value
      case "tolerance": $0.tolerance = Double(value)
      default: $0.costBudget = value
      }
    }
    #expect { try RunConfiguration(changed) } throws: { error in
      guard case RunError.usage(let text) = error else { return false }
      return text.contains(value)
    }
  }

  @Test func aBudgetWithoutRoomForExactIteratesGetsASplice() async throws {
    let result = try await train("splice") {
      $0.orders = ["backward"]
      $0.costBudget = "350"
    }
    let name = try #require(result.findings?.first?.approximation)
    #expect(name.hasPrefix("splice:"))
    #expect(result.orders.map(\.series.description) == [name])
    #expect(result.gradientEvaluations <= 350)
    #expect(result.gradientEvaluations > 300)
  }

  @Test func aBudgetEndsASearchForATail() async throws {
    let result = try await train("short") {
      $0.orders = ["tail:auto"]
      $0.tolerance = 1e-9
      $0.costBudget = "1500"
    }
    #expect(result.gradientEvaluations <= 1500)
    let finding = try #require(result.findings?.first)
    #expect(finding.isSearchCutShort)
    #expect(try #require(finding.tail) < 200)
  }

  @Test func aSpentBudgetIsNotExtended() async throws {
    _ = try await train("spent") { $0.costBudget = "1500" }
    #expect { try NetworkRun.open(folder("spent"), steps: 400) } throws: { error in
      guard case RunError.impossible(let text) = error else { return false }
      return text.contains("`cost-budget`")
    }
  }

  @Test func aBudgetTooSmallNamesTheLeast() throws {
    let experiment = try RunSpecification(RunConfiguration(settings { $0.costBudget = "50" }))
    #expect { try NetworkRun.create(at: folder("small"), experiment) } throws: { error in
      guard case RunError.impossible(let text) = error else { return false }
      return text.contains("the least these orders need is")
    }
    #expect(!FileManager.default.fileExists(atPath: folder("small")))
  }
}

@Suite struct CostPredictionTests {
  @Test func neighboursDifferInOneThing() throws {
    let folder = try TemporaryFolder()
    var settings = RunSettings()
    settings.model = "mlp:16"
    settings.orders = ["forward", "backward", "tail:10"]
    settings.steps = 100
    settings.evaluate = "every:10"
    settings.evaluationExamples = 50
    settings.lanes = 2
    settings.checkpointEvery = 20
    let experiment = try RunSpecification(RunConfiguration(settings))
    let prediction = try CostPrediction(experiment, in: folder.path)
    let costs = Dictionary(uniqueKeysWithValues: prediction.neighbours.map { ($0.change, $0.cost) })
    #expect(costs["`order` backward alone"]?.gradientEvaluations == 550)
    #expect(costs["`order` tail:20 for tail:10"]?.gradientEvaluations ?? 0 > prediction.predictedGradientEvaluations)
    #expect(costs["`order` tail:5 for tail:10"]?.gradientEvaluations ?? .max < prediction.predictedGradientEvaluations)
    #expect(costs["`evaluate` every:5"]?.gradientEvaluations ?? 0 > prediction.predictedGradientEvaluations)
    let asked = try #require(costs["`lanes` 1"])
    #expect(asked.gradientEvaluations == prediction.predictedGradientEvaluations)
    let none = try #require(costs["`checkpoint-every` 0"])
    #expect(none.diskBytes < prediction.predictedDiskBytes)
    #expect(try #require(none.seconds) < #require(prediction.predictedWallSeconds))
    for cost in costs.values { #expect(cost.seconds ?? 0 > 0 && cost.peakBytes > 0 && cost.diskBytes > 0) }
    // The state written temporarily is gone.
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  @Test func predictedBytesOnDiskAreWritten() async throws {
    let folder = try TemporaryFolder()
    var settings = RunSettings()
    settings.model = "mlp:64"
    settings.steps = 300
    settings.evaluate = "every:30"
    settings.evaluationExamples = 50
    settings.checkpointEvery = 30
    let experiment = try RunSpecification(RunConfiguration(settings))
    let predicted = try CostPrediction(experiment, in: folder.path).predictedDiskBytes
    let run = try NetworkRun.create(at: folder("run"), experiment)
    let result = try await run.finish()
    #expect(abs(Double(result.checkpointBytes) / Double(predicted) - 1) < 0.1)
  }
}
