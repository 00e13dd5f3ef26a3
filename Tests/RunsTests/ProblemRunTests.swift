import Foundation
import Replay
import Runs
import Tensors
import TestSupport
import Testing

/// Runs of a problem without a network: the promises of runs hold for any problem.
@Suite struct ProblemRunTests {
  private let folder: TemporaryFolder
  private let orders: [CompositionOrder] = [.forward, .backward, .tail(7), .splice(4), .sliding(3)]

  init() throws { folder = try TemporaryFolder() }

  private func create(
    _ name: String, _ problem: Drift = Drift(), orders: [CompositionOrder]? = nil, steps: Int = 60, seeds: Range<Int> = 2..<4,
    averages: [AverageRule] = [.exponential(0.9)], budgets: Budgets = Budgets(lanes: 2, checkpoints: CheckpointPolicy(every: 9))
  ) throws -> Run<Drift> {
    try Run.create(
      at: folder(name), problem, orders: orders ?? self.orders, steps: steps, observing: .every(6), seeds: seeds,
      averages: averages, budgets: budgets)
  }

  /// The digests by series, seed and n.
  private func digests(_ name: String) throws -> [String: Digest] {
    Dictionary(
      uniqueKeysWithValues: try StoredRun(folder(name)).observations().map { ("\($0.series) \($0.seed) \($0.n)", $0.digest) })
  }

  @Test func observationsAreThoseOfUpdatesOneByOne() async throws {
    let run = try create("run")
    var seen: [Observation] = []
    for try await observation in run.train() { seen.append(observation) }
    #expect(seen.count == 2 * 10 * (orders.count + 1))
    #expect(seen.allSatisfy { $0.measurements["distance"] != nil && $0.measurements.values.count == 2 })
    for observation in seen {
      guard let order = observation.series.order else { continue }
      #expect(observation.digest == (try Drift().digest(of: order.sequence(observation.n), seed: observation.seed)), "\(observation)")
    }
    let stored = try StoredRun(folder("run"))
    let observations = try stored.observations()
    #expect(stored.status == "finished" && Set(observations) == Set(seen))
    #expect(stored.problem.metrics.map(\.name) == ["distance", "spread"] && stored.problem.settings["rate"] != nil)
    // There is nothing left to do.
    for try await observation in run.train() { Issue.record("\(observation) was observed again") }
  }

  /// Promise "same bits", whatever the resources.
  @Test func resourcesChangeNoBit() async throws {
    _ = try await create("usual").finish()
    let expected = try digests("usual")
    let policies = [CheckpointPolicy(every: nil), CheckpointPolicy(every: 1, chainLength: 3), CheckpointPolicy(every: 25, level: 3)]
    for (place, policy) in policies.enumerated() {
      for lanes in [1, 3] {
        let name = "\(place) \(lanes)"
        _ = try await create(name, budgets: Budgets(lanes: lanes, memory: .gibibytes(4), disk: .mebibytes(1), checkpoints: policy)).finish()
        #expect(try digests(name) == expected, "\(policy), \(lanes) lanes")
      }
    }
  }

  /// Promise "nothing finished is lost": the run is stopped repeatedly and opened anew each time.
  @Test func anInterruptedRunComesToTheSame() async throws {
    _ = try await create("whole").finish()
    let expected = try digests("whole")
    for round in 0..<cases(6, long: 60) {
      let name = "stopped \(round)"
      _ = try create(name)
      var isFinished = false
      var attempts = 0
      while !isFinished {
        let run = try Run.open(folder(name), Drift())
        let count = Lock(0)
        let limit = attempts < 5 ? 3 + 7 * (round + attempts) : .max
        attempts += 1
        let training = Task {
          for try await _ in run.train(lanes: 1 + round % 3) {
            if count.withLock({ $0 += 1; return $0 }) >= limit { break }
          }
        }
        try? await training.value
        // Leaving the loop stops the training, which may still be in its last commit.
        while (try? RunLock(RunFolder(path: folder(name)))) == nil { try await Task.sleep(for: .milliseconds(1)) }
        isFinished = try StoredRun(folder(name)).status == "finished"
      }
      #expect(try digests(name) == expected)
      #expect(try await Run.verify(folder(name), Drift(), replays: 40).damaged.isEmpty)
    }
  }

  @Test func anyIterateIsRecalled() async throws {
    _ = try await create("run").finish()
    let run = try Run.open(folder("run"), Drift())
    for (order, n) in [(CompositionOrder.backward, 41), (.tail(7), 60), (.window(5), 33), (.forward, 0)] {
      let iterate = try await run.iterate(order, n, seed: 3)
      #expect(iterate.digest == (try Drift().digest(of: order.sequence(n), seed: 3)))
      #expect(iterate.tensors.map(\.name) == ["state"] && iterate.tensors[0].values.count == 3)
    }
    // The replay starts from the checkpoint at 54.
    let near = try await run.iterate(.forward, 59, seed: 2)
    #expect(near.gradientEvaluations == 5 && near.checkpoint?.position == 54)
    let states = Lock<[RewoundState]>([])
    let result = try run.rewind(order: .backward, n: 20, seed: 2, slots: RewindSlots(memory: 3)) { state in
      states.withLock { $0.append(state) }
      return false
    }
    #expect(result.updates >= 19)
    for state in states.withLock({ $0 }) {
      let path = CompositionOrder.backward.sequence(20).prefix(state.n)
      #expect(state.digest == (try Drift().digest(of: path, seed: 2)) && state.trainingLoss != nil)
    }
    let averages = try await run.averages([.rule(.uniform)], n: 60, seeds: [2, 3], isExact: true)
    #expect(averages.summary.map(\.average) == ["forward", "uniform"])
    #expect(averages.summary[1].measurements.values.count == 2)
  }

  @Test func anotherProblemIsRefused() async throws {
    _ = try await create("run").finish()
    #expect(throws: RunError.damaged("the data set is not what it was when \(folder("run")) was made; bring it back, or train anew")) {
      try Run.open(folder("run"), Drift(rate: 0.2))
    }
    #expect { try Run.open(folder("run"), OtherMetrics()) } throws: { "\($0)".contains("observed the metrics") }
  }

  private struct OtherMetrics: UpdateMap, TrainingProblem {
    let stateCount = 3
    let metrics = [Metric("loss")]
    func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {}
    func writeInitialState(seed: Int, to state: inout StateBuffer) {}
    func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] { [0, 1] }
  }

  @Test func aMetricTooManyIsSaid() async throws {
    let run = try Run.create(
      at: folder("run"), OtherMetrics(), orders: [.forward], steps: 2, observing: .every(1), budgets: Budgets(lanes: 1))
    await #expect { _ = try await run.finish() } throws: { "\($0)".contains("has 1 metrics, but measured 2 values") }
  }

  @Test func divergenceNamesTheMetric() async throws {
    var problem = Drift()
    problem.diverges = 30
    let run = try create("run", problem, orders: [.forward], averages: [])
    await #expect { _ = try await run.finish() } throws: { "\($0)".contains("the distance of forward at iterate 36") }
    #expect(try StoredRun(folder("run")).status == "failed")
    let count = try digests("run").count
    #expect((5...10).contains(count))
  }

  @Test func batchesThatEndAreNotExceeded() throws {
    #expect { try create("run", Drift(batchCount: 50)) } throws: { "\($0)".contains("needs batch 54, but Drift has 50 batches") }
    _ = try create("short", Drift(batchCount: 60))
  }

  @Test(arguments: ["n", "", "1loss", "test loss", "digest"])
  func namesThatAreNoMetrics(name: String) {
    struct Named: UpdateMap, TrainingProblem {
      let stateCount = 1
      let metrics: [Metric]
      func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {}
      func writeInitialState(seed: Int, to state: inout StateBuffer) {}
      func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] { [0] }
    }
    #expect(throws: RunError.self) {
      try Run.create(at: folder("run"), Named(metrics: [Metric(name)]), orders: [.forward], steps: 1, observing: .every(1))
    }
    #expect(!FileManager.default.fileExists(atPath: folder("run")))
  }

  @Test func damageIsFoundAndRepaired() async throws {
    _ = try await create("run").finish()
    let files = try FileManager.default.contentsOfDirectory(atPath: folder("run/checkpoints")).filter { $0.hasSuffix(".ckpt") }.sorted()
    try folder.write([1, 2, 3], to: "run/checkpoints/\(files[1])")
    // This also works without the problem's code.
    #expect(try StoredRun.verify(folder("run")).damaged.count == 1)
    let report = try await Run.verify(folder("run"), Drift(), repairs: true)
    #expect(report.damaged.count == 1 && report.repaired.count == 1)
    #expect(try await Run.verify(folder("run"), Drift(), replays: 100).damaged.isEmpty)
  }

  /// An automatic schedule uses the first metric.
  @Test func automaticSchedulesFollowTheFirstMetric() async throws {
    let workload = try Workload(
      orders: [ObservedOrder(.forward), ObservedOrder(.tail, observing: nil)], steps: 200, observing: .automatic(error: 0.01),
      seeds: 0..<2, tolerance: 0.05)
    let run = try Run.create(at: folder("run"), RunSpecification(Drift(), workload))
    let result = try await run.finish()
    #expect(result.findings?.contains { $0.order == "tail:auto" && $0.tail != nil } == true)
    #expect(try await Run.verify(folder("run"), Drift()).damaged.isEmpty)
  }
}
