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
    #expect(seen.allSatisfy { $0.measurements["offset"] != nil && $0.measurements.values.count == 2 })
    for observation in seen {
      guard let order = observation.series.order else { continue }
      #expect(observation.digest == (try Drift().digest(of: order.sequence(observation.n), seed: observation.seed)), "\(observation)")
    }
    let stored = try StoredRun(folder("run"))
    let observations = try stored.observations()
    #expect(stored.status == "finished" && Set(observations) == Set(seen))
    #expect(stored.problem.metrics.map(\.name) == ["offset", "spread"] && stored.problem.settings["rate"] != nil)
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
      let tensors = try iterate.tensors
      #expect(tensors.map(\.name) == ["state"] && tensors[0].values.count == 3)
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
    #expect { try Run.open(folder("run"), Drift(rate: 0.2)) } throws: { "\($0)".contains("was made with the setting rate") }
    var moved = Drift()
    moved.data = "other data"
    #expect(throws: RunError.damaged("the data set is not what it was when \(folder("run")) was made; bring it back, or train anew")) {
      try Run.open(folder("run"), moved)
    }
    #expect { try Run.open(folder("run"), OtherMetrics()) } throws: { "\($0)".contains("was made with the metrics") }
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

  private struct Measured: UpdateMap, TrainingProblem {
    let stateCount = 1
    let metric: Metric
    let value: Double
    var metrics: [Metric] { [metric] }
    func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {}
    func writeInitialState(seed: Int, to state: inout StateBuffer) {}
    func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] { [value] }
  }

  /// A value that can't be read back is not stored.
  @Test(arguments: [
    (0.0...1, 1.0000000002, "but gives its range as 0.0 to 1.0"),
  ])
  func valuesOutsideTheirRangeAreRefused(range: ClosedRange<Double>, value: Double, words: String) async throws {
    let problem = Measured(metric: Metric("loss", range: range), value: value)
    let run = try Run.create(at: folder("run"), problem, orders: [.forward], steps: 3, observing: .every(1), budgets: Budgets(lanes: 1))
    await #expect { _ = try await run.finish() } throws: { "\($0)".contains(words) }
    #expect(try StoredRun(folder("run")).observations().isEmpty)
    #expect(try StoredRun.verify(folder("run")).damaged.isEmpty)
  }

  @Test(arguments: [1e101, -1e101, .infinity, .nan])
  func valuesThatAreNotFiniteHaveDiverged(value: Double) async throws {
    let problem = Measured(metric: Metric("loss", range: 0...1), value: value)
    let run = try Run.create(at: folder("run"), problem, orders: [.forward], steps: 3, observing: .every(1), budgets: Budgets(lanes: 1))
    _ = try await run.finish()
    #expect(try StoredRun(folder("run")).observations().isEmpty)
    #expect(try StoredRun(folder("run")).divergences().map(\.n) == [1, 2, 3])
    #expect(try await Run.verify(folder("run"), problem).damaged.isEmpty)
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

private final class OwnThread: TaskExecutor {
  private let queue = DispatchQueue(label: "test")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}

/// What a library's user can say wrong is answered in words, before anything is lost.
@Suite struct MisuseTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func create(_ orders: [CompositionOrder], _ schedule: EvaluationSchedule = .every(1), averages: [AverageRule] = []) throws {
    _ = try Run.create(
      at: folder("run"), Drift(), orders: orders, steps: 10, observing: schedule, averages: averages, budgets: Budgets(lanes: 1))
  }

  @Test(arguments: [
    CompositionOrder.tail(0), .splice(0), .tail(-3), .window(0), .window(-1), .sliding(0), .flipflop(0), .blocks(0), .reshuffled(0), .paired(-1), .randomOrder(0), .flipflop(.max),
    .listed(ListedOrder(name: "mine", sequences: [])),
  ])
  func ordersThatNoSpecificationGives(order: CompositionOrder) {
    #expect(throws: (any Error).self) { try create([order]) }
    #expect(!FileManager.default.fileExists(atPath: folder("run")))
  }

  @Test(arguments: [
    EvaluationSchedule.every(0), .every(-3), .logarithmic(0), .logarithmic(-3), .logarithmic(2_000_000), .automatic(error: .nan),
    .automatic(error: -1), .at([]), .at([11]),
  ])
  func schedulesThatNoSpecificationGives(schedule: EvaluationSchedule) {
    #expect(throws: ScheduleError.self) { try create([.forward], schedule) }
    #expect(!FileManager.default.fileExists(atPath: folder("run")))
  }

  @Test(arguments: [AverageRule.exponential(1), .exponential(5), .exponential(.nan), .polynomial(-3), .polynomial(.nan)])
  func averagesThatNoSpecificationGives(rule: AverageRule) {
    #expect(throws: AverageError.self) { try create([.forward], averages: [rule]) }
  }

  /// A list of sequences and an average of the last iterates have words of their own, so that the run opens again.
  @Test func whatCodeAloneGivesIsStored() async throws {
    let order = CompositionOrder.listed(
      ListedOrder(name: "file:evens first", sequences: (1...10).map { n in CompositionOrder.window(2).sequence(n) }))
    let run = try Run.create(
      at: folder("run"), Drift(), orders: [order, .forward], steps: 10, observing: .every(2), averages: [.uniform(after: 5)],
      budgets: Budgets(lanes: 1))
    try await run.finish()
    let again = try Run.open(folder("run"), Drift())
    #expect(try await again.iterate(order, 7).digest == Drift().digest(of: CompositionOrder.window(2).sequence(7), seed: 0))
    #expect(try await Run.verify(folder("run"), Drift(), replays: 100).damaged.isEmpty)
  }

  @Test func numbersOutOfRangeAreSaid() async throws {
    try create([.forward])
    let run = try Run.open(folder("run"), Drift())
    try await run.finish()
    await #expect(throws: RunError.self) { try await run.iterate(.forward, -1) }
    await #expect(throws: RunError.self) { try await run.iterate(.forward, 1, seed: 9) }
    await #expect(throws: RunError.self) { try await run.averages([.rule(.uniform)], n: 0, seeds: [0], isExact: true) }
    await #expect(throws: RunError.self) { try await run.averages([.rule(.uniform)], n: 10, seeds: [], isExact: true) }
    #expect(throws: RunError.self) { try run.rewind(order: .forward, n: 10, to: -1, seed: 0, slots: RewindSlots(memory: 1)) { _ in true } }
    #expect(try await Run.verify(folder("run"), Drift(), replays: -1).replays == 0)
    #expect(throws: RunError.self) { try Workload(orders: [ObservedOrder(.forward)], steps: 1, observing: .every(1), seeds: 0..<10_001) }
    #expect(throws: RunError.self) { try Workload(orders: [ObservedOrder(.forward)], steps: 0, observing: .every(1)) }
  }

  /// Iterates of other updates never stand beside a run's own.
  @Test func otherUpdatesAreRefused() async throws {
    try create([.forward])
    var other = Drift()
    other.rate = 0.1000001
    #expect { try Run.open(folder("run"), other, steps: 20) } throws: { "\($0)".contains("setting rate") }
    await #expect { try await Run.verify(folder("run"), other, repairs: true) } throws: { "\($0)".contains("setting rate") }
  }

  /// Whoever takes observations is not kept waiting by lanes that compute.
  @Test func observationsComeWhileLanesCompute() async throws {
    let cores = ProcessInfo.processInfo.activeProcessorCount
    let run = try Run.create(
      at: folder("run"), Drift(), orders: [.backward], steps: 60_000, observing: .every(200), seeds: 0..<4,
      budgets: Budgets(lanes: 2 * cores, checkpoints: CheckpointPolicy(every: nil)))
    // Tests hold the threads that all tasks share, so whoever looks has one of its own.
    let looking = Task(executorPreference: OwnThread()) {
      var seen = 0
      for try await _ in run.train() {
        seen += 1
        if seen == 3 { break }
      }
    }
    try await looking.value
    while (try? RunLock(run.folder)) == nil { try await Task.sleep(for: .milliseconds(1)) }
    // Of 1,200; those already on their way when the loop was left are kept.
    #expect(try StoredRun(folder("run")).observationCount < 1200)
    #expect(try StoredRun(folder("run")).status != "finished")
  }

  @Test(arguments: ["gradientEvaluations", "laneSeconds", "neighbourNoise", "distance", "seed"])
  func metricsThatWouldHideOtherValues(name: String) {
    #expect(throws: RunError.self) { try Run.create(at: folder("run"), Named([name]), orders: [.forward], steps: 1, observing: .every(1)) }
  }

  @Test func metricsThatHideEachOther() {
    #expect(throws: RunError.self) {
      try Run.create(at: folder("run"), Named(["a", "aSpread"]), orders: [.forward], steps: 1, observing: .every(1))
    }
    #expect(throws: RunError.self) {
      try Run.create(at: folder("run"), Named((0...1000).map { "m\($0)" }), orders: [.forward], steps: 1, observing: .every(1))
    }
  }

  /// Endless ranges and numbers that are not finite have their place in a run's folder.
  @Test func numbersThatJSONLacksAreStored() async throws {
    let problem = Named(["loss"], range: 0...(.infinity), settings: ["tolerance": .number(.nan)])
    let run = try Run.create(at: folder("run"), problem, orders: [.forward], steps: 1, observing: .every(1))
    try await run.finish()
    _ = try Run.open(folder("run"), problem)
  }

  private struct Named: UpdateMap, TrainingProblem {
    let stateCount = 1
    let metrics: [Metric]
    let settings: [String: JSONValue]
    init(_ names: [String], range: ClosedRange<Double> = 0...1, settings: [String: JSONValue] = [:]) {
      metrics = names.map { Metric($0, range: range) }
      self.settings = settings
    }
    func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {}
    func writeInitialState(seed: Int, to state: inout StateBuffer) {}
    func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] { metrics.map { _ in 0 } }
  }
}
