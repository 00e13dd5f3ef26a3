import Formats
import Foundation
import Replay
import Runs
import Tensors
import TestSupport
import Testing

/// A problem whose states have floats that are no numbers behind those that are. They hold patterns of signalling NaN, which any
/// arithmetic changes, so that digests show whether somebody took them for numbers.
private struct Coded: UpdateMap, TrainingProblem {
  let numberCount = 20
  let stateCount = 51
  let startPrecision: CheckpointPrecision
  let metrics = [Metric("level")]

  /// The layout names all that are numbers, and one of the others, as a problem of a user might.
  var layout: StateLayout {
    var layout = StateLayout()
    _ = layout.add("numbers", shape: [21], role: .parameter, initialization: .constant(0))
    return layout
  }

  func writeInitialState(seed: Int, to state: inout StateBuffer) {
    for index in 0..<numberCount { state[index] = Float(seed + index) / 7 }
    for index in numberCount..<stateCount { state[index] = code(UInt32(seed + 1000 * index)) }
  }

  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    var sum: UInt32 = 0
    for index in numberCount..<stateCount {
      sum = sum &* 31 &+ state[index].bitPattern
      state[index] = code(sum &+ UInt32(batch))
    }
    for index in 0..<numberCount { state[index] += 0.1 * (Float((batch * 31 + index) % 17) + Float(sum % 5) - state[index]) }
  }

  private func code(_ number: UInt32) -> Float { Float(bitPattern: 0x7f80_0001 | number & 0x803f_ffff) }

  func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] {
    [(0..<numberCount).reduce(0.0) { $0 + Double(state.values[$1]) }]
  }
}

@Suite struct CodedStateTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func workload(_ steps: Int = 40) throws -> Workload {
    try Workload(
      orders: [.forward, .backward, .tail(5)].map { ObservedOrder($0) }, steps: steps, observing: .every(10), seeds: 3..<5,
      averages: [.exponential(0.9), .uniform])
  }

  private func digests<Problem>(_ run: Run<Problem>) async throws -> [String: Digest] {
    let result = try await run.finish()
    var digests: [String: Digest] = [:]
    for series in result.orders + result.averages {
      for iterate in series.iterates { digests["\(series.series) \(series.seed) \(iterate.n)"] = iterate.digest }
    }
    return digests
  }

  /// The state after a sequence of batches, one update after the other, and where it starts rounded to a precision.
  private func state(_ problem: Coded, seed: Int, _ batches: [Int]) throws -> TrainingState {
    var values = try StateBuffer(count: problem.stateCount)
    problem.writeInitialState(seed: seed, to: &values)
    for index in 0..<problem.numberCount { values[index] = problem.startPrecision.rounded(values[index]) }
    var workspace: Void = ()
    for (position, batch) in batches.enumerated() { problem.apply(batch: batch, position: position, to: &values, workspace: &workspace) }
    return TrainingState(values: values, updateCount: batches.count)
  }

  /// Starts in 16 bits, slots between replays, checkpoints and differences of them, and averages leave those floats as they are.
  @Test(arguments: CheckpointPrecision.allCases)
  func whatIsNoNumberKeepsItsBits(precision: CheckpointPrecision) async throws {
    let problem = Coded(startPrecision: precision)
    let budgets = Budgets(checkpoints: CheckpointPolicy(every: 3, chainLength: 3))
    let run = try Run.create(at: folder("run"), RunSpecification(problem, try workload(), budgets: budgets))
    let found = try await digests(run)
    #expect(found.count == 2 * 4 * 5)
    for seed in 3..<5 {
      for n in stride(from: 10, through: 40, by: 10) {
        let paths = ["forward": Array(1...n), "backward": (1...n).reversed(), "tail:5": Array(6...n) + (1...5).reversed()]
        for (order, batches) in paths {
          let expected = try state(problem, seed: seed, batches).digest
          #expect(found["\(order) \(seed) \(n)"] == expected, "\(order) \(n)")
        }
        var average = try state(problem, seed: seed, [1])
        for i in 2...n {
          let next = try state(problem, seed: seed, Array(1...i))
          for index in 0..<problem.numberCount {
            average.values[index] += Float(1 / Double(i)) * (next.values[index] - average.values[index])
          }
          for index in problem.numberCount..<problem.stateCount { average.values[index] = next.values[index] }
        }
        average.updateCount = n
        let expected = try average.digest
        #expect(found["forward average uniform \(seed) \(n)"] == expected)
      }
    }
    // A run that goes on from checkpoints, and averages made of stored ones.
    let short = try await Run.create(at: folder("short"), RunSpecification(problem, try workload(20), budgets: budgets)).finish()
    #expect(short.orders.count == 6)
    let extended = try Run.open(folder("short"), problem, steps: 40)
    let resumed = try await digests(extended)
    #expect(resumed == found)
    let profiles = try ["exponential:0.9", "uniform", "uniform:1"].map { try AverageProfile($0) }
    let made = try await run.averages(profiles, n: 40, seeds: [3], isExact: false).averages
    let exact = try await run.averages(profiles, n: 40, seeds: [3], isExact: true).averages
    #expect(made.map(\.digest) == exact.map(\.digest) && made.allSatisfy { $0.weightDistance == 0 })
    #expect(made[0].digest == found["forward 3 40"] && made[1].digest == found["forward average exponential:0.9 3 40"])
    // A combination ends with the last iterate's.
    let combined = try await run.averages([AverageProfile("uniform:10")], n: 40, seeds: [3], isExact: false)
    #expect(combined.averages[1].measurements.loss.isFinite)
  }

  /// Slots of a rewind that round numbers round nothing else: a state that was kept is the exact one with its numbers rounded.
  @Test(arguments: [CheckpointPrecision.bfloat16, .float16])
  func roundedSlotsRoundNumbersAlone(precision: CheckpointPrecision) throws {
    let problem = Coded(startPrecision: .float32)
    let run = try Run.create(at: folder("run"), RunSpecification(problem, try workload()))
    for (memory, disk) in [(Int.max, 0), (0, Int.max)] {
      let slots = RewindSlots(memory: memory, disk: disk, precision: precision, least: .updates)
      let result = try run.rewind(order: .forward, n: 30, to: 0, seed: 3, slots: slots) { _ in true }
      #expect(result.states.count == 30)
      for visited in result.states where visited.n > 0 && visited.n < 29 {
        var expected = try state(problem, seed: 3, Array(1...visited.n))
        for index in 0..<problem.numberCount { expected.values[index] = precision.rounded(expected.values[index]) }
        let digest = try expected.digest
        #expect(visited.digest == digest, "\(visited.n)")
      }
    }
  }
}
