import Backtrail
import Datasets
import Formats
import Foundation
import Replay
import Runs
import Tensors
import TestSupport
import Testing

/// The settings of a small run on the digits.
private func settings(_ change: (inout RunSettings) -> Void = { _ in }) -> RunSettings {
  var settings = RunSettings()
  settings.model = "mlp:12"
  settings.orders = ["forward", "backward", "tail:7", "splice:4", "window:5", "sliding:3", "sliding-forward:2", "flipflop:4", "blocks:8"]
  settings.steps = 30
  settings.evaluate = "at:1,7,13,30"
  settings.evaluationExamples = 50
  settings.batchSize = 16
  settings.learningRate = 0.1
  change(&settings)
  return settings
}

private func train(_ settings: RunSettings, in folder: TemporaryFolder, name: String = "run") async throws -> RunResult {
  let run = try NetworkRun.create(at: folder(name), RunSpecification(RunConfiguration(settings)))
  return try await run.finish()
}

/// The digest of every iterate, by order, seed and n.
private func digests(_ result: RunResult) -> [String: String] {
  var digests: [String: String] = [:]
  for series in result.orders + result.averages {
    for iterate in series.iterates { digests["\(series.series) \(series.seed) \(iterate.n)"] = iterate.digest.description }
  }
  return digests
}

@Suite struct TrainingRunTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Promise "same bits", for everything the command line can vary.
  @Test func bitsDependOnTheMathematicsAlone() async throws {
    let expected = digests(try await train(settings { $0.lanes = 1 }, in: folder, name: "one"))
    #expect(expected.count == (9 + 2) * 4)
    for lanes in [2, 3] {
      #expect(digests(try await train(settings { $0.lanes = lanes }, in: folder, name: "\(lanes)")) == expected)
    }
    for order in settings().orders ?? [] {
      let alone = settings {
        $0.orders = [order]
        $0.evaluate = "at:13,30"
        $0.evaluationExamples = 3
      }
      let found = digests(try await train(alone, in: folder, name: "\(order) alone"))
      #expect(found.isSubset(of: expected), "\(order)")
      #expect(found.count == (order == "forward" ? 6 : 2))
    }
  }

  /// The same for models and optimizers whose training state contains more than parameters, for schedules by batch
  /// and by position, and for interrupted runs, whose checkpoints must contain all of it.
  @Test(arguments: [
    ("sgd", "float32"), ("nesterov", "float32"), ("adamw", "float32"), ("rmsprop", "float32"), ("momentum", "8bit"), ("adam", "8bit"),
  ])
  func bitsOfEveryOptimizerDependOnTheMathematicsAlone(optimizer: String, slots: String) async throws {
    func varied(_ change: (inout RunSettings) -> Void) -> RunSettings {
      settings {
        $0.model = "resnet18:1"
        $0.orders = ["forward", "backward", "tail:3"]
        $0.steps = 8
        $0.evaluate = "at:3,8"
        $0.batchSize = 4
        $0.learningRate = 0.01
        $0.optimizer = optimizer
        $0.optimizerPrecision = slots
        $0.weightDecay = "0.01"
        $0.schedule = "cosine"
        $0.warmUp = 2
        $0.scheduleIndex = optimizer == "adamw" ? "batch" : "position"
        $0.checkpointEvery = 2
        change(&$0)
      }
    }
    let expected = digests(try await train(varied { $0.lanes = 1 }, in: folder, name: "one"))
    #expect(digests(try await train(varied { ($0.lanes, $0.checkpointEvery) = (3, 0) }, in: folder, name: "three")) == expected)
    #expect(digests(try await train(varied { $0.recalibrate = 2 }, in: folder, name: "recalibrated")) == expected)
    let run = try NetworkRun.open(folder("one"))
    for n in [2, 7] {
      let iterate = try await run.iterate(.forward, n, seed: 0)
      let alone = varied { ($0.orders, $0.evaluate) = (["forward"], "at:\(n)") }
      #expect(digests(try await train(alone, in: folder, name: "at \(n)"))["forward 0 \(n)"] == iterate.digest.description)
    }
  }

  @Test func recalibrationChangesLossesAndNoState() async throws {
    func iterates(_ recalibrate: Int) async throws -> [RunResult.Iterate] {
      let result = try await train(
        settings {
          ($0.model, $0.orders, $0.steps, $0.evaluate) = ("resnet18:2", ["backward"], 6, "at:6")
          ($0.learningRate, $0.recalibrate) = (0.01, recalibrate)
        }, in: folder, name: "\(recalibrate)")
      return result.orders[0].iterates
    }
    let (own, recalibrated) = (try await iterates(0), try await iterates(40))
    #expect(own.map(\.digest) == recalibrated.map(\.digest))
    #expect(own.map(\.measurements.loss) != recalibrated.map(\.measurements.loss))
    for bad in [("mlp:3", 2), ("resnet18:2", -1)] {
      #expect(throws: RunError.self) {
        try RunSpecification(RunConfiguration(settings { ($0.model, $0.recalibrate) = bad }))
      }
    }
  }

  /// Compares every order, from the exported initial state and batches, with double precision.
  @Test(arguments: ["shuffle", "replacement"])
  func iteratesEqualAnIndependentReplay(sampler: String) async throws {
    let run = try NetworkRun.create(at: folder("run"), RunSpecification(RunConfiguration(settings { $0.sampler = sampler })))
    let dataset = run.problem.dataset
    let initial = try await run.iterate(.forward, 0, seed: 0)
    for order in run.specification.selection.orders {
      var reference = DoublePerceptron(tensors: try initial.tensors.map { ($0.shape, $0.values) })
      for batches in order.sequence(30).runs {
        for index in 0..<batches.count {
          let examples = try run.batch(batches[index], seed: 0)
          let (inputs, labels) = try dataset.training.doubles(examples)
          reference.descend(inputs, labels, learningRate: 0.1)
        }
      }
      let found = try await run.iterate(order, 30, seed: 0).tensors.flatMap(\.values)
      let scale = reference.parameters.map(abs).max() ?? 1
      let worst = zip(found, reference.parameters).map { abs(Double($0) - $1) }.max() ?? .infinity
      #expect(worst < 2e-4 * scale, "\(order)")
    }
  }

  @Test func plannedCostIsExecutedCost() async throws {
    let costs = ["forward": 100, "backward": 550, "tail:20": 270, "window:10": 190, "sliding:4": 394]
    let result = try await train(
      settings {
        $0.orders = costs.keys.sorted()
        $0.steps = 100
        $0.evaluate = "every:10"
        $0.seedCount = 2
      }, in: folder)
    for series in result.orders { #expect(series.gradientEvaluations == costs[series.series.description]) }
    #expect(result.gradientEvaluations == result.predictedGradientEvaluations)
    // The orders share batches: window:10 follows forward (90) and begins like backward (10), tail:20 begins like
    // backward (10 + 20), sliding:4 begins like forward (2).
    #expect(result.gradientEvaluations == 2 * (costs.values.reduce(0, +) - 90 - 10 - 30 - 2))
  }

  @Test func severalSeedsAreTheRunsOfEachSeed() async throws {
    let together = try await train(settings { ($0.seed, $0.seedCount) = (5, 3) }, in: folder, name: "together")
    #expect(Set(together.orders.map(\.seed)) == [5, 6, 7])
    for seed in 5...7 {
      let alone = digests(try await train(settings { $0.seed = seed }, in: folder, name: "\(seed)"))
      #expect(alone.isSubset(of: digests(together)))
    }
    let summary = try #require(together.summary.first { $0.name == "backward" })
    #expect((summary.spreads?[0] ?? 0) > 0)
  }

  @Test func everyObservationIsStoredBeforeItIsReported() async throws {
    let experiment = try RunSpecification(RunConfiguration(settings()))
    let run = try NetworkRun.create(at: folder("run"), experiment)
    let path = run.folder.path
    var listener = TrainingListener()
    listener.didCommit = { observations in
      let stored = (try? StoredRun(path).observations()) ?? []
      #expect(Set(observations).isSubset(of: stored))
    }
    let result = try await run.finish(listener: listener)
    let stored = try StoredRun(path)
    #expect(stored.status == "finished")
    #expect(stored.observationCount == (9 + 2) * 4)
    #expect(stored.result?.gradientEvaluations == result.gradientEvaluations)
    #expect(StoredRun.list(in: folder.path).map(\.run) == [path])
  }

  @Test func aDivergingRunFinishesAndKeepsWhatItSaw() async throws {
    let experiment = try RunSpecification(
      RunConfiguration(
        settings {
          $0.orders = ["forward"]
          $0.evaluate = "every:1"
          $0.learningRate = 1e30
          $0.lanes = 1
        }))
    let run = try NetworkRun.create(at: folder("run"), experiment)
    let result = try await run.finish()
    let stored = try StoredRun(folder("run"))
    let first = try #require(stored.firstDivergences.first { $0.series == .forward })
    #expect(stored.status == "finished" && (1...30).contains(first.n))
    #expect(try stored.observations().filter { $0.series == .forward }.map(\.n) == Array(1..<first.n))
    #expect(result.summary[0].measurements == nil && result.summary[0].diverged == [SeedDivergence(seed: 0, n: first.n)])
    #expect(try stored.observations().allSatisfy { $0.measurements.loss.isFinite })
    // Updates stop at the first observed state that is not finite.
    #expect(result.gradientEvaluations <= first.n && result.gradientEvaluations + (result.skippedGradientEvaluations ?? 0) == 30)
  }

  @Test func aRunStartsFromAFile() async throws {
    let first = try NetworkRun.create(at: folder("first"), RunSpecification(RunConfiguration(settings())))
    let expected = digests(try await first.finish())
    let initial = try await first.iterate(.backward, 0, seed: 0)
    try Safetensors.write(try initial.tensors, metadata: [:], to: folder("initial.safetensors"))
    let specification = folder("initial.safetensors")
    let experiment = try RunSpecification(
      RunConfiguration(settings { $0.initial = specification }),
      initial: try await InitialTensors.read(specification))
    let second = try NetworkRun.create(at: folder("second"), experiment)
    #expect(digests(try await second.finish()) == expected)
    // The run keeps its own copy.
    try FileManager.default.removeItem(atPath: specification)
    let again = try NetworkRun.open(folder("second"))
    #expect(try await again.iterate(.backward, 30, seed: 0).digest.description == expected["backward 0 30"])
    // An iterate of another run is named RUN:ORDER:N.
    let iterate = try await first.iterate(.tail(7), 13, seed: 0)
    let recalled = try await InitialTensors.read("\(folder("first")):tail:7:13")
    #expect(recalled?.digest == InitialTensors(try iterate.tensors).digest)
  }

  @Test func exportedBatchesAndOrdersReplayARun() async throws {
    let first = try NetworkRun.create(at: folder("first"), RunSpecification(RunConfiguration(settings())))
    let expected = digests(try await first.finish())
    let lines = try (1...30).map { try first.batch($0, seed: 0).map(String.init).joined(separator: " ") }
    let batches = try folder.write(lines.joined(separator: "\n") + "\n", to: "batches")
    let order = try folder.write((1...30).map { "\($0)-1\n" }.joined(), to: "order")
    let second = settings {
      $0.sampler = "file:" + batches
      $0.batchSize = nil
      $0.orders = ["file:" + order, "forward"]
    }
    let found = digests(try await train(second, in: folder, name: "second"))
    for n in [1, 7, 13, 30] {
      #expect(found["file:\(order) 0 \(n)"] == expected["backward 0 \(n)"])
      #expect(found["forward 0 \(n)"] == expected["forward 0 \(n)"])
    }
    // The run has a copy of the order, which is checked when it is opened again.
    try FileManager.default.removeItem(atPath: folder("order"))
    let again = try NetworkRun.open(folder("second"))
    let iterate = try await again.iterate(again.specification.selection.orders[0], 13, seed: 0)
    #expect(iterate.wasObserved && iterate.digest.description == expected["backward 0 13"])
    try folder.write((1...30).map { "1-\($0)\n" }.joined(), to: "second/orders/1.txt")
    #expect(throws: RunError.self) { try NetworkRun.open(folder("second")) }
  }

  @Test func ordersAndBatchesThatEndTooSoonAreRefused() throws {
    let batches = try folder.write(String(repeating: "1 2 3\n", count: 20), to: "batches")
    let order = try folder.write("1\n2-1\n99\n", to: "order")
    for (orders, sampler, points) in [
      (["forward"], "file:" + batches, "at:21"), (["file:" + order], "shuffle", "at:4"),
      (["file:" + order], "file:" + batches, "at:3"),
    ] {
      let settings = settings {
        $0.orders = orders
        $0.sampler = sampler
        $0.evaluate = points
        $0.batchSize = 3
      }
      #expect(throws: RunError.self) { try RunSpecification(RunConfiguration(settings)) }
    }
  }

  @Test func aReplayFindsATamperedObservation() async throws {
    _ = try await train(settings(), in: folder)
    let run = try NetworkRun.open(folder("run"))
    #expect(try await run.iterate(.tail(7), 30, seed: 0).wasObserved)
    #expect(try await !run.iterate(.tail(8), 29, seed: 0).wasObserved)
    let database = try RunDatabase.open(run.folder, for: .writing)
    var observation = try #require(try database.observation(seed: 0, series: .order(.tail(7)), n: 30))
    observation.digest = try await run.iterate(.tail(7), 29, seed: 0).digest
    try database.replace(observation)
    await #expect(throws: RunError.self) { try await run.iterate(.tail(7), 30, seed: 0) }
  }
}

@Suite struct RunSettingsTests {
  @Test func settingsAreCheckedByName() {
    let bad: [(String, (inout RunSettings) -> Void)] = [
      ("`steps`", { $0.steps = 0 }), ("`batch-size`", { $0.batchSize = 0 }), ("`seeds`", { $0.seedCount = 0 }),
      ("`learning-rate`", { $0.learningRate = -1 }), ("`learning-rate`", { $0.learningRate = .nan }),
      ("`learning-rate`", { $0.learningRate = 1e300 }), ("`lanes`", { $0.lanes = 0 }), ("`seed`", { $0.seed = -1 }),
      ("`average`", { $0.averages = ["exponential:1"] }), ("twice", { $0.averages = ["uniform", "polynomial:0"] }),
      ("`average` none", { $0.averages = ["uniform", "none"] }), ("`evaluation-examples`", { $0.evaluationExamples = 0 }),
      ("twice", { $0.orders = ["forward", "forward"] }), ("sideways", { $0.orders = ["sideways"] }),
      ("often", { $0.evaluate = "often" }), ("iterate 31", { $0.evaluate = "at:31" }), ("'best'", { $0.sampler = "best" }),
      ("file:", { $0.sampler = "file:" }),
    ]
    for (word, change) in bad {
      #expect {
        try RunConfiguration(settings(change))
      } throws: { error in
        guard case RunError.usage(let text) = error else { return false }
        return text.contains(word)
      }
    }
  }

  @Test func flagsComeBeforeTheFile() {
    var flags = RunSettings()
    flags.steps = 5
    flags.orders = ["backward"]
    var file = RunSettings()
    file.steps = 7
    file.batchSize = 9
    let both = flags.completed(by: file)
    #expect(both.steps == 5)
    #expect(both.batchSize == 9)
    #expect(both.orders == ["backward"])
  }
}

extension Examples {
  /// The features and classes of some examples, read in the same way as a training batch.
  func doubles(_ indices: [Int]) throws -> ([[Double]], [Int]) {
    var buffer = try FloatBuffer(count: indices.count * featureCount)
    let matrix = buffer.mutableVector.matrix(rows: indices.count, columns: featureCount)
    var targets = Targets(.classes, count: indices.count)
    try gather(indices, into: matrix, targets: &targets)
    return (
      (0..<indices.count).map { row in (0..<featureCount).map { Double(matrix[row: row][$0]) } }, targets.classes.map(Int.init)
    )
  }
}

extension Dictionary where Key == String, Value == String {
  func isSubset(of other: [String: String]) -> Bool { allSatisfy { other[$0.key] == $0.value } }
}
