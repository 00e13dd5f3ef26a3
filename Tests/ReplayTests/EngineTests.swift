import Replay
import Tensors
import Testing

/// A map whose every update depends on batch and position and which does not commute: any mistake of order, batch,
/// position or state changes the bits.
private struct ScrambleMap: UpdateMap {
  let salt: Float
  var stateCount: Int { 3 }
  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    let x = state[0], y = state[1]
    state[0] = 0.9 * y + salt * Float(batch)
    state[1] = x * (1 - 0.001 * Float(batch)) + 0.01 * Float(position)
    state[2] = state[2] * 0.5 + x
  }
}

/// Keeps the digest of everything it sees.
private final class DigestRecorder: IterateObserver {
  struct Key: Hashable {
    let replica: Int
    let order: Int
    let n: Int
  }
  let digests = Lock<[Key: Digest]>([:])
  let failing: Int?

  init(failing: Int? = nil) { self.failing = failing }

  struct Failed: Error, Equatable { let n: Int }

  func observe(
    _ iterates: [Iterate], replica: Int, state: borrowing TrainingState, workspace: inout Void
  ) throws {
    let digest = try state.digest
    for iterate in iterates {
      if iterate.n == failing { throw Failed(n: iterate.n) }
      digests.withLock { $0[Key(replica: replica, order: iterate.order, n: iterate.n)] = digest }
    }
  }

  func observeAverage(_ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout Void) throws {
    let digest = try state.digest
    digests.withLock { $0[Key(replica: replica, order: -1 - index, n: n)] = digest }
  }
}

@Suite struct EngineTests {
  private static let maps = [ScrambleMap(salt: 0.25), ScrambleMap(salt: -0.5)]

  private func initial(_ replica: Int) throws -> TrainingState {
    var values = try StateBuffer(count: 3)
    for index in 0..<3 { values[index] = Float(index + 1 + 10 * replica) }
    return TrainingState(values: values)
  }

  private func record(
    _ orders: [CompositionOrder], _ points: [Int], lanes: Int, memorySlots: Int? = nil
  ) async throws -> [DigestRecorder.Key: Digest] {
    var planner = ReplayPlanner(orders: orders, points: points)
    planner.replicas = [ReplicaProgress(), ReplicaProgress()]
    planner.lanes = lanes
    planner.averageCount = 2
    planner.memorySlots = memorySlots
    planner.slotCosts = SlotCosts(step: 1, write: 3, read: 1)
    let recorder = DigestRecorder()
    let engine = ReplayEngine(
      maps: Self.maps, initialStates: [.kept(StoredState(try initial(0))), .kept(StoredState(try initial(1)))], observer: recorder,
      averages: [.exponential(0.75), .uniform], diskSlots: FakeDisk())
    let plan = try planner.plan()
    let progress = ReplayProgress()
    let summary = try await engine.run(plan, lanes: lanes, progress: progress)
    #expect(summary.gradientEvaluations == plan.gradientEvaluations)
    #expect(progress.gradientEvaluations == plan.gradientEvaluations)
    #expect(summary.observations == plan.observationCount + plan.averageObservationCount)
    return recorder.digests.withLock { $0 }
  }

  /// Promise "same bits": bits depend on the batch sequence alone.
  @Test func iteratesEqualTheirSequencesReplayedOneByOne() async throws {
    let orders = SpelledOut.orders(maximumSize: 4)
    let points = [1, 2, 5, 11, 12, 30]
    let expected = try await record(orders, points, lanes: 1)
    for (index, order) in orders.enumerated() {
      for n in points {
        for replica in 0..<2 {
          var state = try initial(replica)
          var nothing: Void = ()
          for (position, batch) in SpelledOut.batches(order, n).enumerated() {
            Self.maps[replica].apply(batch: batch, position: position, to: &state.values, workspace: &nothing)
            state.updateCount += 1
          }
          #expect(expected[.init(replica: replica, order: index, n: n)] == (try state.digest), "\(order) at \(n)")
        }
      }
    }
    for lanes in [1, 2, 3, 8] {
      for memorySlots in [nil, 0, 1, 2] {
        #expect(try await record(orders, points, lanes: lanes, memorySlots: memorySlots) == expected)
      }
    }
    // Other requested iterates change nothing.
    for (index, order) in orders.enumerated() {
      let alone = try await record([order], [2, 30], lanes: 2)
      for n in [2, 30] {
        #expect(
          alone[.init(replica: 1, order: 0, n: n)] == expected[.init(replica: 1, order: index, n: n)])
      }
    }
  }

  @Test func averagesAreTheWeightedMeanOfForwardIterates() async throws {
    let digests = try await record([.backward, .window(3), .forward], [1, 4, 9], lanes: 2)
    for replica in 0..<2 {
      var state = try initial(replica)
      var average = TrainingState(values: try StateBuffer(count: 3))
      var mean = TrainingState(values: try StateBuffer(count: 3))
      var nothing: Void = ()
      for n in 1...9 {
        Self.maps[replica].apply(batch: n, position: n - 1, to: &state.values, workspace: &nothing)
        var power = 1.0
        for _ in 0..<n { power *= 0.75 }
        try average.values.move(toward: state.values, by: Float(0.25 / (1 - power)))
        average.updateCount = n
        try mean.values.move(toward: state.values, by: Float(1 / Double(n)))
        mean.updateCount = n
        if [1, 4, 9].contains(n) {
          #expect(digests[.init(replica: replica, order: -1, n: n)] == (try average.digest))
          #expect(digests[.init(replica: replica, order: -2, n: n)] == (try mean.digest))
        }
      }
    }
  }

  @Test(arguments: [1, 3])
  func anObserversErrorStopsAllLanes(lanes: Int) async throws {
    let recorder = DigestRecorder(failing: 20)
    let engine = ReplayEngine(
      maps: [Self.maps[0]], initialStates: [.kept(StoredState(try initial(0)))], observer: recorder)
    var planner = ReplayPlanner(orders: [.forward, .tail(3), .backward], points: Array(1...40))
    planner.lanes = lanes
    let plan = try planner.plan()
    await #expect(throws: DigestRecorder.Failed(n: 20)) { try await engine.run(plan, lanes: lanes) }
  }

  @Test func aCancelledReplayStops() async throws {
    let engine = ReplayEngine(
      maps: [Self.maps[0]], initialStates: [.kept(StoredState(try initial(0)))], observer: DigestRecorder())
    let plan = try ReplayPlanner(orders: [.forward], points: [1_000_000_000]).plan()
    let replay = Task { try await engine.run(plan, lanes: 1) }
    replay.cancel()
    await #expect(throws: CancellationError.self) { try await replay.value }
  }
}
