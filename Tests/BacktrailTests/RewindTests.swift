import Backtrail
import Formats
import Foundation
import Replay
import Runs
import Tensors
import TestSupport
import Testing

@Suite struct RewindTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func run(optimizer: String = "sgd", slots: String? = nil, model: String = "mlp:12") throws -> NetworkRun {
    var settings = RunSettings()
    settings.optimizerPrecision = slots
    (settings.model, settings.optimizer, settings.orders) = (model, optimizer, ["backward"])
    (settings.steps, settings.evaluate, settings.evaluationExamples) = (40, "at:40", 10)
    (settings.batchSize, settings.learningRate) = (16, optimizer == "sgd" ? 0.1 : 0.01)
    return try NetworkRun.create(at: folder(optimizer), RunSpecification(RunConfiguration(settings)))
  }

  private var slotFolders: [String] {
    let runs = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return runs.flatMap { (try? FileManager.default.contentsOfDirectory(atPath: folder($0))) ?? [] }.filter {
      $0.hasPrefix("slots")
    }
  }

  /// The states 0 … n − 1 of forward's path, which are forward's iterates.
  private func forwardStates(of run: NetworkRun, _ n: Int) async throws -> [[Float]] {
    var states: [[Float]] = []
    for position in 0..<n {
      let tensors = try await run.iterate(.forward, position, seed: 0).tensors
      var values = try StateBuffer(count: run.specification.stateCount)
      let named = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, (shape: $0.shape, values: $0.values)) })
      try run.problem.layout.load(named, from: "a replay", into: &values)
      states.append((0..<values.count).map { values[$0] })
    }
    return states
  }

  private func digest(_ floats: [Float], updateCount: Int) throws -> Digest {
    var values = try StateBuffer(count: floats.count)
    for (index, value) in floats.enumerated() { values[index] = value }
    return try Digest(of: values, updateCount: updateCount)
  }

  private func rewind(_ run: NetworkRun, to: Int = 0, _ slots: RewindSlots) throws -> RewindResult {
    try run.rewind(order: .forward, n: 40, to: to, seed: 0, slots: slots) { _ in true }
  }

  /// Promise "same bits": for any slots, tier and goal, and for states with optimizer slots.
  @Test(arguments: [("sgd", nil), ("adamw", nil), ("adamw", "8bit")] as [(String, String?)])
  func statesAreTheReplaysWhateverTheSlots(optimizer: String, slots: String?) async throws {
    let run = try run(optimizer: optimizer, slots: slots)
    var expected: [Digest] = []
    for n in 0..<40 { expected.append(try await run.iterate(.forward, n, seed: 0).digest) }
    for least in RewindGoal.allCases {
      for (memory, disk) in [(0, 0), (1, 0), (3, 0), (.max, 0), (0, 1), (0, 3), (0, .max), (2, 2), (2, .max)] {
        let result = try rewind(run, RewindSlots(memory: memory, disk: disk, least: least))
        #expect(result.states.map(\.digest) == expected.reversed(), "\(memory), \(disk)")
        #expect(!result.isApproximate && slotFolders.isEmpty)
        if disk == 0 || least == .updates {
          let slots = min(memory, 100) + min(disk, 100)
          #expect(result.updates == (try RewindSchedule(visiting: 0..<40, memorySlots: slots).updates))
        }
      }
    }
    #expect(try rewind(run, to: 31, RewindSlots(memory: 2)).states.map(\.digest) == expected[31...].reversed())
    #expect(throws: RunError.self) { try rewind(run, to: 40, RewindSlots(memory: 2)) }
  }

  /// A rewind near the end of a trained path starts from checkpoints, not from the initial state.
  @Test(arguments: [RewindGoal.time, .updates])
  func storedStatesStandForTheWayToThem(least: RewindGoal) async throws {
    var settings = RunSettings()
    (settings.model, settings.optimizer, settings.orders) = ("mlp:12", "momentum", ["forward"])
    (settings.steps, settings.evaluate, settings.evaluationExamples) = (40, "every:1", 10)
    (settings.batchSize, settings.learningRate, settings.checkpointEvery) = (16, 0.1, 10)
    let run = try NetworkRun.create(at: folder("trained"), RunSpecification(RunConfiguration(settings)))
    let untrained = try rewind(run, to: 33, RewindSlots(memory: 1, least: least))
    let all = try rewind(run, RewindSlots(memory: 1, least: least))
    for try await _ in run.train() {}
    for (memory, disk) in [(0, 0), (1, 0), (.max, 0), (0, 2), (1, 3)] {
      let late = try rewind(run, to: 33, RewindSlots(memory: memory, disk: disk, least: least))
      #expect(late.states.map(\.digest) == untrained.states.map(\.digest))
      #expect(late.updates < untrained.updates && late.checkpointReads > 0)
      let whole = try rewind(run, RewindSlots(memory: memory, disk: disk, least: least))
      #expect(whole.states.map(\.digest) == all.states.map(\.digest))
    }
    #expect(untrained.updates > 39 && untrained.checkpointReads == 0)
    // From state 30 it takes the updates to 39, and again those to each of 38 … 33 with one slot.
    let late = try rewind(run, to: 33, RewindSlots(memory: 1, least: .updates))
    #expect(late.updates == (try RewindSchedule(visiting: 3..<10, memorySlots: 1).updates))
  }

  /// If every state has a slot, states are the rounded exact ones, and no updates amplify the error.
  @Test(arguments: [CheckpointPrecision.bfloat16, .float16])
  func keptStatesAreTheRoundedOnes(precision: CheckpointPrecision) async throws {
    let run = try run()
    let exact = try await forwardStates(of: run, 40)
    for (memory, disk) in [(Int.max, 0), (0, Int.max), (10, .max)] {
      let slots = RewindSlots(memory: memory, disk: disk, precision: precision, least: .updates)
      let result = try rewind(run, slots)
      #expect(result.isApproximate && result.slotPrecision == precision.description)
      #expect(result.updates == 39)
      for state in result.states {
        // The uppermost state is visited when it is reached, and the start is not kept.
        let isKept = state.n > 0 && state.n < 39
        let expected = try digest(isKept ? exact[state.n].map(precision.rounded) : exact[state.n], updateCount: state.n)
        #expect(state.digest == expected, "\(state.n)")
      }
    }
    let everything = try rewind(run, RewindSlots(memory: 0, precision: precision))
    #expect(!everything.isApproximate)
    #expect(everything.states.map(\.digest) == (try rewind(run, RewindSlots(memory: 5)).states.map(\.digest)))
  }

  @Test(arguments: ["sgd", "momentum"])
  func everyPointOfASweepIsAsPredicted(optimizer: String) throws {
    let run = try run(optimizer: optimizer)
    let bytes = run.specification.stateBytes
    let rounded = run.problem.layout.count
    for least in RewindGoal.allCases {
      var told = 0
      var planned = (rewinds: 0, updates: 0)
      let sweep = try run.sweepRewinds(
        order: .backward, n: 40, seed: 0, request: RewindSweep.Request(least: least, rounds: 2),
        willMeasure: { planned = ($0, $1) }, didMeasure: { _ in told += 1 })
      #expect(planned.rewinds == told && told == 2 * sweep.points.count)
      #expect(planned.updates == 2 * sweep.points.reduce(0) { $0 + $1.updates })
      #expect(slotFolders.isEmpty)
      #expect(sweep.firstPassUpdates == 39 && sweep.stateBytes == bytes)
      for point in sweep.points {
        let name = "\(point.tier), \(point.precision), \(point.slots)"
        #expect(point.updates == point.predictedUpdates, "\(name)")
        #expect(point.recomputedUpdates == point.updates - 39)
        #expect(point.seconds > 0)
        let isLossless = point.precision == "float32"
        #expect(isLossless == (point.error == nil))
        #expect(isLossless ? point.identicalStates == 40 : (1..<40).contains(point.identicalStates), "\(name)")
        let perSlot = isLossless ? bytes : rounded * 2 + (bytes - 4 * rounded)
        if point.tier == "memory" {
          #expect(point.storedBytes == point.slots * perSlot, "\(name)")
          #expect(point.updates == (try RewindSchedule(visiting: 0..<40, memorySlots: point.slots).updates))
          #expect(point.diskReads == 0 && point.diskWrites == 0)
        } else {
          // This is the size of a table of contents and the overhead of zstd.
          #expect(point.storedBytes <= point.slots * (perSlot + 300), "\(name)")
          #expect(point.storedBytes > point.slots * perSlot / 2 && point.diskReads > 0, "\(name)")
          #expect((point.predictedSeconds != nil) == (least == .time))
        }
        guard let error = point.error else { continue }
        #expect(error.worstDistance >= error.meanDistance && error.meanDistance > 0)
        #expect(error.worstLossDifference >= error.meanLossDifference && error.meanLossDifference > 0)
      }
      guard least == .updates else { continue }
      for series in Dictionary(grouping: sweep.points, by: { "\($0.tier) \($0.precision)" }).values {
        #expect(series.map(\.slots) == [1, 2, 3, 5, 8, 16, 32, 38])
        #expect(series.last?.recomputedUpdates == 0)
      }
      // If all states are kept, rounding is the only error, in memory as on disk.
      let ends = sweep.points.filter { $0.slots == 38 }
      for (precision, unit) in [("bfloat16", 0x1p-8), ("float16", 0x1p-11)] {
        let errors = ends.filter { $0.precision == precision }.compactMap(\.error)
        #expect(errors.count == 2 && errors[0].meanDistance == errors[1].meanDistance)
        // The norm of the parameters is some ten times their distance after forty updates, and a hundred times that
        // after the first.
        #expect(errors[0].meanDistance < 100 * unit && errors[0].meanDistance > unit / 4)
      }
    }
  }

  @Test func aPartOfThePathIsSweptToo() throws {
    let run = try run()
    let request = RewindSweep.Request(slots: [.max, 0, 2], tiers: [.disk], precisions: [.float32, .float16])
    let sweep = try run.sweepRewinds(order: .tail(7), n: 40, to: 25, seed: 0, request: request)
    #expect(sweep.points.map(\.slots) == [0, 2, 14, 0, 2, 14])
    #expect(sweep.points.map(\.identicalStates).prefix(4) == [15, 15, 15, 15])
    #expect(sweep.points.allSatisfy { $0.updates == $0.predictedUpdates && $0.states == 15 })
    #expect(sweep.points[0].storedBytes == 0 && sweep.points[0].diskWrites == 0)
    // With a slot for every state but the uppermost, one pass suffices even if the origin is far away.
    #expect(sweep.points[2].recomputedUpdates == 0)
  }

  /// Slot files are removed however a rewind ends.
  @Test func nothingIsLeftBehind() async throws {
    let run = try run()
    struct Enough: Error {}
    #expect(throws: Enough.self) {
      _ = try run.rewind(order: .backward, n: 40, seed: 0, slots: RewindSlots(memory: 0, disk: 9, least: .updates)) { state in
        #expect(slotFolders.count == 1)
        if state.n == 20 { throw Enough() }
        return false
      }
    }
    #expect(slotFolders.isEmpty)
    let task = Task {
      try run.sweepRewinds(order: .backward, n: 40, seed: 0, request: RewindSweep.Request(tiers: [.disk]))
    }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(slotFolders.isEmpty)
  }

  @Test func whatDoesNotFitMemoryIsRefused() throws {
    let run = try run()
    // No more slots are allocated than there are states.
    let slots = RewindSlots(memory: .max)
    #expect {
      try run.rewind(order: .forward, n: 900_000_000, seed: 0, slots: slots) { _ in true }
    } throws: { error in
      guard case RunError.impossible(let text) = error else { return false }
      return text.contains("`slots`") && text.contains("`slot-precision`")
    }
  }
}
