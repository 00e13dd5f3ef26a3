import Replay
import Tensors
import Testing

/// A map that does not commute and depends on batch and position.
private struct TwistMap: UpdateMap {
  let stateCount = 2
  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    let x = state[0]
    state[0] = 0.9 * state[1] + 0.25 * Float(batch)
    state[1] = x * (1 - 0.001 * Float(batch)) + 0.01 * Float(position)
  }
}

@Suite struct RewinderTests {
  private let costs = SlotCosts(step: 1, write: 2, read: 1.5)

  private func initialState() throws -> StoredState {
    let state = try StoredState(count: 2)
    state.write { $0.values[0] = 1 }
    return state
  }

  /// The digests of all states of a path, from one run through its sequence.
  private func straightReplay(_ batches: [Int]) throws -> [Digest] {
    var state = TrainingState(values: try StateBuffer(count: 2))
    try initialState().copy(to: &state)
    var digests = [try state.digest]
    var nothing: Void = ()
    for (position, batch) in batches.enumerated() {
      TwistMap().apply(batch: batch, position: position, to: &state.values, workspace: &nothing)
      state.updateCount += 1
      digests.append(try state.digest)
    }
    return digests
  }

  /// Promise "same bits", for rewinds.
  @Test(arguments: SpelledOut.orders(maximumSize: 3))
  func statesEqualThoseOfAStraightReplay(order: CompositionOrder) throws {
    let n = 13
    let sequence = order.sequence(n)
    let expected = try straightReplay(SpelledOut.batches(order, n))
    for lower in [0, 5] {
      for (slots, diskSlots) in [(0, 0), (1, 0), (3, 0), (100, 0), (0, 2), (1, 1), (2, 3)] {
        let schedule = try RewindSchedule(
          visiting: lower..<sequence.count + 1, memorySlots: slots, diskSlots: diskSlots, costs: costs)
        let disk = FakeDisk()
        var rewinder = try Rewinder(
          TwistMap(), along: sequence, from: try initialState(), schedule: schedule, storage: disk)
        var visited: [Int] = []
        try rewinder.forEach { position, state in
          visited.append(position)
          let digest = try state.digest
          #expect(digest == expected[position])
        }
        #expect(visited == Array((lower...sequence.count).reversed()))
        #expect(rewinder.updates == schedule.updates)
        #expect(disk.writes == schedule.diskWrites && disk.reads == schedule.diskReads && disk.isEmpty)
        #expect(try rewinder.next() == nil)
      }
    }
  }

  /// The counts of meters are those of the schedule, and as many slots are in use at once as it has.
  @Test func metersCountWhatIsHeld() throws {
    let sequence = CompositionOrder.backward.sequence(80)
    let expected = try straightReplay(SpelledOut.batches(.backward, 80))
    for (slots, diskSlots) in [(0, 0), (1, 0), (0, 1), (3, 0), (0, 3), (2, 4), (100, 0), (0, 100), (30, 100)] {
      let schedule = try RewindSchedule.fewestUpdates(visiting: 0..<81, memorySlots: slots, diskSlots: diskSlots)
      let memory = SlotMeter(try MemorySlots(count: schedule.memorySlots, for: TwistMap())) { _ in 8 }
      let disk = SlotMeter(FakeDisk()) { slot in 100 + slot }
      var rewinder = try Rewinder(
        TwistMap(), along: sequence, from: try initialState(), schedule: schedule, storage: disk, memory: memory)
      try rewinder.forEach { position, state in
        let digest = try state.digest
        #expect(digest == expected[position])
      }
      #expect(rewinder.updates == schedule.updates)
      #expect(memory.use.peakSlots == schedule.memorySlots && memory.use.peakBytes == 8 * schedule.memorySlots)
      #expect(disk.use.saves == schedule.diskWrites && disk.use.loads == schedule.diskReads)
      #expect(disk.use.peakSlots == schedule.diskSlots)
      #expect(disk.use.peakBytes == (0..<schedule.diskSlots).reduce(0) { $0 + 100 + $1 })
      #expect(schedule.updates == 80 || slots + diskSlots < 79)
    }
  }

  @Test func theIterateItselfIsOneUpdateAhead() throws {
    let order = CompositionOrder.tail(4)
    let expected = try straightReplay(SpelledOut.batches(order, 20))
    let schedule = try RewindSchedule(visiting: 0..<20, memorySlots: 2)
    var rewinder = try Rewinder(TwistMap(), along: order.sequence(20), from: try initialState(), schedule: schedule)
    var successor = TrainingState(values: try StateBuffer(count: 2))
    while let position = try rewinder.next() {
      try rewinder.writeSuccessor(to: &successor)
      #expect(try successor.digest == expected[position + 1])
      #expect(try rewinder.state.digest == expected[position])
    }
    #expect(rewinder.updates == schedule.updates)
  }

  /// Given states replace the way to them.
  @Test func statesFromGivenOnesHaveTheSameBits() throws {
    let order = CompositionOrder.backward
    let expected = try straightReplay(SpelledOut.batches(order, 50))
    let sequence = order.sequence(50)
    let given = [10, 20, 40].map { GivenState(position: $0, cost: 0.5) }
    for (lower, slots, disk) in [(0, 2, 0), (15, 1, 2), (45, 0, 0), (0, 100, 0)] {
      let schedule = try RewindSchedule(visiting: lower..<50, given: given, memorySlots: slots, diskSlots: disk, costs: costs)
      let progress = ReplayProgress()
      var read: [Int] = []
      var rewinder = try Rewinder(
        TwistMap(), along: sequence, from: try initialState(), schedule: schedule, storage: FakeDisk(), progress: progress
      ) { position, state in
        read.append(position)
        var stored = TrainingState(values: try StateBuffer(count: 2))
        try initialState().copy(to: &stored)
        var executor = try BatchRunExecutor(for: TwistMap())
        for run in sequence.runs(in: 0..<position) { try executor.apply(run, of: TwistMap(), to: &stored) }
        try state.copy(from: stored)
      }
      try rewinder.forEach { position, state in
        let digest = try state.digest
        #expect(digest == expected[position])
      }
      #expect(rewinder.updates == schedule.updates && progress.gradientEvaluations == schedule.updates)
      #expect(Set(read) == Set(schedule.givenPositions) && !read.isEmpty)
    }
    let schedule = try RewindSchedule(visiting: 0..<50, given: given, memorySlots: 2)
    #expect(throws: RewindError.noGivenState(40)) {
      var rewinder = try Rewinder(TwistMap(), along: sequence, from: try initialState(), schedule: schedule)
      try rewinder.forEach { _, _ in }
    }
  }

  @Test func errorsOfTheStorageArePassedOn() throws {
    let schedule = try RewindSchedule(visiting: 0..<60, memorySlots: 1, diskSlots: 3, costs: costs)
    #expect(schedule.diskWrites > 2)
    let sequence = CompositionOrder.backward.sequence(60)
    #expect(throws: FakeDisk.Failed.self) {
      var rewinder = try Rewinder(
        TwistMap(), along: sequence, from: try initialState(), schedule: schedule, storage: FakeDisk(writesUntilFull: 2))
      try rewinder.forEach { _, _ in }
    }
    #expect(throws: RewindError.storageMissing) {
      _ = try Rewinder(TwistMap(), along: sequence, from: try initialState(), schedule: schedule)
    }
    #expect(throws: RewindError.sequenceTooShort(updates: 58, needed: 59)) {
      _ = try Rewinder(
        TwistMap(), along: CompositionOrder.forward.sequence(58), from: try initialState(), schedule: schedule,
        storage: FakeDisk())
    }
  }

  @Test func aCancelledRewindStops() async throws {
    let schedule = try RewindSchedule(visiting: 0..<100_000_000, memorySlots: 3)
    let initial = try initialState()
    let rewind = Task {
      var rewinder = try Rewinder(
        TwistMap(), along: CompositionOrder.forward.sequence(100_000_000), from: initial, schedule: schedule)
      return try rewinder.next()
    }
    rewind.cancel()
    await #expect(throws: CancellationError.self) { try await rewind.value }
  }
}
