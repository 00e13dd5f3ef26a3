import Foundation
import Replay
import Runs
import Tensors
import TestSupport
import Testing

/// Divergence is a result: what has diverged is a function of configuration and seed, and the rest is as it would be without.
@Suite struct DivergenceTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A configuration of a run, chosen at random.
  private struct Case {
    let orders: [CompositionOrder]
    let points: [Int]
    let limit: Double?
    let problem: Blast
    let averages: [AverageRule]
    let seeds = 0..<4

    init(_ random: inout SplitMix) {
      let all: [CompositionOrder] = [
        .forward, .backward, .tail(7), .splice(5), .window(4), .sliding(3), .slidingForward(2), .flipflop(6), .blocks(8),
        .reshuffled(9), .paired(6), .randomOrder(1), .randomOrder(2),
      ]
      orders = Array(all.shuffled(using: &random).prefix(Int.random(in: 2...6, using: &random)))
      points = Set((0..<12).map { _ in Int.random(in: 1...70, using: &random) }).sorted()
      limit = [nil, 3, 6, 100].randomElement(using: &random) ?? nil
      problem = Blast(cubic: [0.15, 0.2, 0.3].randomElement(using: &random) ?? 0.2)
      averages = Bool.random(using: &random) ? [.uniform, .exponential(0.8)] : []
    }

    var workload: Workload {
      get throws {
        try Workload(
          orders: orders.map { ObservedOrder($0) }, steps: 70, observing: .at(points), seeds: seeds, averages: averages,
          divergenceLimit: limit)
      }
    }
  }

  private struct Key: Hashable {
    let seed: Int
    let series: Series
    let n: Int
  }

  /// What is known of an iterate that has not diverged.
  private struct Seen: Equatable {
    let digest: Digest
    let trainingLoss: Double?
  }

  /// What each iterate must be by the definition, from sequences written out: its digest and the loss of its last batch before the last
  /// update, or nil if it has diverged.
  private func expected(_ run: Case) throws -> [Key: Seen?] {
    var expected: [Key: Seen?] = [:]
    for seed in run.seeds {
      let iterates = run.orders.flatMap { order in
        run.points.map { n in (order: order, n: n, batches: order.sequence(n).runs.flatMap { run in (0..<run.count).map { run[$0] } }) }
      }
      var diverged: Set<[Int]> = []
      for iterate in iterates {
        let state = try run.problem.state(after: iterate.batches, seed: seed)
        let isFinite = state.values[0].isFinite && state.values[1].isFinite
        if !isFinite || Double(abs(state.values[0])) > run.limit ?? .infinity { diverged.insert(iterate.batches) }
      }
      for iterate in iterates {
        let continues = diverged.contains { iterate.batches.starts(with: $0) }
        let before = try run.problem.state(after: iterate.batches.dropLast(), seed: seed)
        let seen = try Seen(
          digest: run.problem.state(after: iterate.batches, seed: seed).digest,
          trainingLoss: run.problem.loss(batch: iterate.batches.last ?? 0, of: before.values))
        expected[Key(seed: seed, series: .order(iterate.order), n: iterate.n)] = .some(continues ? nil : seen)
      }
    }
    return expected
  }

  /// What a run has stored of orders' iterates and of averages, nil for what has diverged.
  private func stored(_ name: String) throws -> [Key: Seen?] {
    let run = try StoredRun(folder(name))
    let measured = try run.observations().map {
      (Key(seed: $0.seed, series: $0.series, n: $0.n), Seen?.some(Seen(digest: $0.digest, trainingLoss: $0.trainingLoss)))
    }
    let diverged = try run.divergences().map { (Key(seed: $0.seed, series: $0.series, n: $0.n), Seen?.none) }
    return Dictionary(uniqueKeysWithValues: measured + diverged)
  }

  private func create(_ name: String, _ run: Case, _ budgets: Budgets) throws -> Run<Blast> {
    try Run.create(at: folder(name), RunSpecification(run.problem, run.workload, budgets: budgets))
  }

  /// Trains a run, and stops and opens it again as often as it takes.
  private func trainWithInterruptions(_ name: String, _ run: Case, _ random: inout SplitMix) async throws {
    var attempts = 0
    while try StoredRun(folder(name)).status != "finished" {
      let opened = try Run.open(folder(name), run.problem)
      let limit = attempts < 4 ? Int.random(in: 1...30, using: &random) : .max
      attempts += 1
      let count = Lock(0)
      let lanes = Int.random(in: 1...3, using: &random)
      let training = Task {
        for try await _ in opened.train(lanes: lanes) {
          if count.withLock({ $0 += 1; return $0 }) >= limit { break }
        }
      }
      try? await training.value
      // Leaving the loop stops the training, which may still be in its last commit.
      while (try? RunLock(RunFolder(path: folder(name)))) == nil { try await Task.sleep(for: .milliseconds(1)) }
    }
  }

  @Test(arguments: 0..<cases(8, long: 300))
  func whatHasDivergedFollowsFromTheConfiguration(number: Int) async throws {
    var random = SplitMix(state: UInt64(number))
    let run = Case(&random)
    let expected = try expected(run)
    var averages: [Key: Seen?]?
    for (place, lanes) in [1, 3].enumerated() {
      let policy = CheckpointPolicy(every: [nil, 2, 7, 64].randomElement(using: &random) ?? nil)
      let memory: MemoryBudget? = Bool.random(using: &random) ? .gibibytes(4) : nil
      let name = "\(number) \(place)"
      let made = try create(name, run, Budgets(lanes: lanes, memory: memory, checkpoints: policy))
      let result = try await made.finish()
      let found = try stored(name)
      #expect(found.filter { $0.key.series.order != nil } == expected, "\(lanes) lanes")
      #expect(result.gradientEvaluations + (result.skippedGradientEvaluations ?? 0) == result.predictedGradientEvaluations)
      #expect(result.orders.allSatisfy { $0.iterates.count + $0.diverged.count == run.points.count })
      let ownAverages = found.filter { $0.key.series.order == nil }
      #expect(ownAverages == averages ?? ownAverages)
      #expect(ownAverages.values.allSatisfy { $0?.trainingLoss == nil })
      averages = ownAverages
      // There is nothing left to do.
      let again = try await Run.open(folder(name), run.problem).finish()
      #expect(again.wallSeconds == result.wallSeconds && again.gradientEvaluations == result.gradientEvaluations)
      #expect(try await Run.verify(folder(name), run.problem, replays: 10).damaged == [])
    }
    let name = "\(number) interrupted"
    _ = try create(name, run, Budgets(lanes: 2, checkpoints: CheckpointPolicy(every: 5)))
    try await trainWithInterruptions(name, run, &random)
    #expect(try stored(name) == expected.merging(averages ?? [:]) { first, _ in first })
  }

  /// Automatic schedules and orders go on with the seeds that are left, and end where none is.
  @Test(arguments: ["backward@auto:0.01", "forward@auto:0.01", "tail:auto", "splice:auto@auto:0.05"])
  func automaticRunsEnd(order: String) async throws {
    for cubic in [0.15, 0.4] as [Float] {
      for limit in [nil, 4] as [Double?] {
        let name = "\(cubic) \(limit ?? 0)"
        let workload = try Workload(
          orders: [ObservedOrder(order), ObservedOrder(.window(3))], steps: 200, observing: .every(20), seeds: 0..<3, divergenceLimit: limit)
        let problem = Blast(cubic: cubic)
        let result = try await Run.create(at: folder(name), RunSpecification(problem, workload, budgets: Budgets(lanes: 2))).finish()
        let rows = try stored(name)
        let again = try await Run.open(folder(name), problem).finish()
        #expect(try again.wallSeconds == result.wallSeconds && stored(name) == rows, "\(name)")
        #expect(try await Run.verify(folder(name), problem, replays: 20).damaged == [], "\(name)")
      }
    }
  }

  @Test func moreStepsOfADivergedOrderCostNothing() async throws {
    let problem = Blast(cubic: 3)
    let run = try Run.create(
      at: folder("run"), problem, orders: [.forward, .backward], steps: 40, observing: .every(10), averages: [.uniform],
      budgets: Budgets(lanes: 1, checkpoints: CheckpointPolicy(every: 2)))
    let result = try await run.finish()
    #expect(result.summary.map(\.diverged) == [20, 20, 40].map { [SeedDivergence(seed: 0, n: $0)] })
    #expect(result.summary.map(\.name) == ["forward", "forward average uniform", "backward"])
    #expect(result.summary.allSatisfy { $0.measurements == nil && $0.spreads == nil && $0.neighbourNoise == nil })
    let extended = try await Run.open(folder("run"), problem, steps: 100).finish()
    // Each of backward's new iterates begins anew, and stops at the first look.
    #expect(extended.gradientEvaluations <= 6 * 64)
    let diverged = try StoredRun(folder("run")).divergences().filter { $0.series == .forward }.map(\.n)
    #expect(diverged == Array(stride(from: 20, through: 100, by: 10)))
    let made = try #require(try StoredRun(folder("run")).result)
    #expect(made.summary.map(\.diverged.count) == [1, 1, 1])
  }

  /// No state that others could build on holds a number that is not finite.
  @Test func statesThatAreNotFiniteAreNotStored() async throws {
    let problem = Blast(cubic: 3)
    let run = try Run.create(
      at: folder("run"), problem, orders: [.forward], steps: 40, observing: .at([40]), averages: [],
      budgets: Budgets(lanes: 1, checkpoints: CheckpointPolicy(every: 1)))
    _ = try await run.finish()
    let batches = (1...40).first { n in (try? problem.state(after: Array(1...n), seed: 0).values[0].isFinite) == false } ?? 0
    #expect(batches > 2)
    let states = try FileManager.default.contentsOfDirectory(atPath: folder("run/checkpoints"))
    #expect(states.count == batches - 1)
  }

  @Test func verifyFindsWhatOnlySeemsToHaveDiverged() async throws {
    let problem = Blast(cubic: 0.05)
    let run = try Run.create(
      at: folder("run"), problem, orders: [.forward, .backward], steps: 20, observing: .every(5), budgets: Budgets(lanes: 1))
    let result = try await run.finish()
    let rows = try stored("run")
    let database = try RunDatabase.open(RunFolder.open(folder("run")), for: .writing)
    try database.diverge([DivergedIterate(seed: 0, series: .backward, n: 10)])
    let report = try await Run.verify(folder("run"), problem, replays: 1000)
    #expect(report.damaged.count == 1 && report.damaged[0].contains("iterate 10 of backward"), "\(report.damaged)")
    let repaired = try await Run.verify(folder("run"), problem, replays: 1000, repairs: true)
    #expect(repaired.isClean && repaired.repaired.count == 1)
    #expect(try stored("run") == rows && result.summary.allSatisfy(\.diverged.isEmpty))
  }

  @Test func meansAreOfTheSeedsThatAreLeft() async throws {
    let problem = Blast(cubic: 0.2)
    let run = try Run.create(
      at: folder("run"), problem, orders: [.forward], steps: 60, observing: .every(1), seeds: 0..<12, averages: [], budgets: Budgets(lanes: 2))
    let result = try await run.finish()
    let line = result.summary[0]
    try #require((2...10).contains(line.diverged.count), "\(line.diverged)")
    let left = result.orders.filter { curve in !line.diverged.contains { $0.seed == curve.seed } }
    #expect(left.allSatisfy { $0.iterates.count == 60 && $0.diverged.isEmpty })
    let means = left.map { curve in curve.iterates.suffix(15).map(\.measurements.loss).reduce(0, +) / 15 }
    let mean = means.reduce(0, +) / Double(means.count)
    #expect(abs(try #require(line.measurements).loss - mean) < 1e-9)
    #expect(line.gradientEvaluations == 12 * 60)
  }
}
