import Tensors

/// Follows plans, lane by lane.
///
/// Lanes share nothing but slots, and a slot is written when no lane reads it; so an iterate's bits do not depend on
/// how many lanes there are or which segments they take.
public struct ReplayEngine<Map: UpdateMap, Observer: IterateObserver>: Sendable where Observer.Workspace == Map.Workspace {
  /// An update map a replica. They have equally long states, and any takes any other's workspace.
  let maps: [Map]
  /// An initial state a replica.
  let initialStates: [InitialState]
  let observer: Observer
  /// Where states are stored and restored; nil for plans that do neither.
  let checkpoints: (any CheckpointStore)?
  /// Where states are kept that have no slot in memory; nil for plans that keep none.
  let diskSlots: (any SlotStorage)?
  /// What running averages forward's iterates enter, as many as plans were made for.
  let averages: [AverageRule]

  /// - Parameters:
  ///   - maps: one for each of the plan's replicas.
  ///   - initialStates: one for each of `maps`, as long as their states.
  ///   - observer: looks at iterates as they are reached.
  ///   - averages: the running averages that the plan keeps of its averaged order.
  ///   - checkpoints: where states are stored, and stored ones are read from; nil for neither.
  ///   - diskSlots: where states wait that the plan puts on disk; needed where it does.
  public init(
    maps: [Map], initialStates: [InitialState], observer: Observer, averages: [AverageRule] = [],
    checkpoints: (any CheckpointStore)? = nil, diskSlots: (any SlotStorage)? = nil
  ) {
    precondition(maps.count == initialStates.count && !maps.isEmpty, "one initial state a map")
    self.maps = maps
    self.initialStates = initialStates
    self.observer = observer
    self.averages = averages
    self.checkpoints = checkpoints
    self.diskSlots = diskSlots
  }

  /// Follows `plan`; when it returns, every planned iterate has been observed once.
  /// - Throws: the first error of a map's workspace or an observation, when all lanes have stopped;
  ///   `CancellationError` if the surrounding task was cancelled; then the lanes' states have been stored;
  ///   `ReplayError` where a running average would come out wrong.
  public func run(
    _ plan: ReplayPlan, lanes: Int, progress: ReplayProgress = ReplayProgress()
  ) async throws -> ReplaySummary {
    precondition(plan.replicas == maps.count, "the plan is for \(plan.replicas) replicas, not \(maps.count)")
    precondition(plan.averagesKept == 0 || plan.averagesKept == averages.count, "the plan is for \(plan.averagesKept) averages")
    precondition(plan.diskSlots == 0 || diskSlots != nil, "the plan keeps states on disk")
    let stateCount = maps[0].stateCount
    let shared = SharedStates(
      slots: try (0..<plan.memorySlots).map { _ in try StoredState(count: stateCount) },
      averages: try maps.map { _ in
        try averages.prefix(plan.averagesKept).map { try RunningAverage($0, count: stateCount) }
      })
    let board = SegmentBoard(plan)
    progress.expect(
      updates: plan.gradientEvaluations, observations: plan.observationCount + plan.averageObservationCount)
    return try await withThrowingTaskGroup(of: ReplaySummary.self) { group in
      for _ in 0..<min(lanes, max(1, plan.segmentCount)) {
        group.addTask { try await runLane(plan, board: board, shared: shared, progress: progress) }
      }
      var summary = ReplaySummary()
      do {
        for try await lane in group { summary = summary + lane }
      } catch {
        // Lanes that wait for a segment must not wait for the one that failed.
        await board.stop()
        throw error
      }
      return summary
    }
  }

  private func runLane(
    _ plan: ReplayPlan, board: SegmentBoard, shared: SharedStates, progress: ReplayProgress
  ) async throws -> ReplaySummary {
    var lane = Lane(
      state: TrainingState(values: try StateBuffer(count: maps[0].stateCount)),
      executor: try BatchRunExecutor(for: maps[0], progress: progress))
    while let segment = await board.next() {
      lane.begin(
        replica: plan.replica(ofSegment: segment), path: plan.path(ofSegment: segment), repeats: plan.repeatedPositions(ofSegment: segment))
      do {
        try plan.forEachInstruction(ofSegment: segment) { instruction in
          try follow(instruction, on: &lane, shared: shared, progress: progress)
        }
      } catch let error as CancellationError {
        // What this lane has done since its last checkpoint is not lost either. States it was only making again lie on a path
        // whose checkpoints are there, some with averages that this lane does not have.
        if !lane.repeats.contains(lane.state.updateCount) { try checkpoint(&lane, shared: shared) }
        throw error
      }
      await board.finish(segment)
    }
    lane.summary.gradientEvaluations = lane.executor.updates
    return lane.summary
  }

  private func follow(
    _ instruction: ReplayInstruction, on lane: inout Lane<Map>, shared: SharedStates,
    progress: ReplayProgress
  ) throws {
    let begin = ContinuousClock.now
    switch instruction {
    case .start(let replica):
      try initialStates[replica].write(to: &lane.state)
    case .restore(let replica, let stored, let averages):
      let taken = averages ? shared.averages[replica] : []
      try checkpoints?.restore(stored, replica: replica, into: &lane.state, averages: taken.map(\.state))
      for average in taken { try average.check(standsAt: lane.state.updateCount) }
      lane.isAveraging = averages
      lane.isStored = true
    case .load(let slot, .memory):
      shared.slots[slot].read { lane.state.copy(from: $0) }
    case .load(let slot, .disk):
      try diskSlots?.load(slot: slot, into: &lane.state)
    case .save(let slot, .memory):
      shared.slots[slot].write { $0.copy(from: lane.state) }
    case .save(let slot, .disk):
      try diskSlots?.save(lane.state, slot: slot)
    case .release:
      // The board lets no segment write a slot before its readers are done.
      break
    case .checkpoint:
      try checkpoint(&lane, shared: shared)
    case .apply(let run):
      try lane.apply(run, of: maps[lane.replica])
      lane.summary.updateSeconds += (.now - begin) / .seconds(1)
    case .applyAveraging(let run):
      try lane.apply(run, of: maps[lane.replica], averages: shared.averages[lane.replica])
      lane.summary.updateSeconds += (.now - begin) / .seconds(1)
    case .observe(let iterates):
      try observer.observe(iterates, replica: lane.replica, state: lane.state, workspace: &lane.executor.workspace)
      lane.finishObservation(since: begin, progress: progress)
    case .observeAverages(let n):
      for (index, average) in shared.averages[lane.replica].enumerated() {
        let begin = ContinuousClock.now
        try average.check(standsAt: n)
        try average.state.read { state throws in
          try observer.observeAverage(index, n: n, replica: lane.replica, state: state, workspace: &lane.executor.workspace)
        }
        lane.finishObservation(since: begin, progress: progress)
      }
    }
  }

  private func checkpoint(_ lane: inout Lane<Map>, shared: SharedStates) throws {
    guard let checkpoints, lane.state.updateCount > 0, !lane.isStored else { return }
    let averages = lane.isAveraging ? shared.averages[lane.replica] : []
    for average in averages { try average.check(standsAt: lane.state.updateCount) }
    try checkpoints.save(
      lane.state, averages: averages.map(\.state), replica: lane.replica,
      at: PathPoint(lane.path, position: lane.state.updateCount))
    lane.isStored = true
  }
}

/// What lanes have in common during a replay.
private struct SharedStates: Sendable {
  let slots: [StoredState]
  /// By replica, then by rule; empty where nothing is averaged.
  let averages: [[RunningAverage]]
}

/// What one lane owns.
private struct Lane<Map: UpdateMap>: ~Copyable {
  var state: TrainingState
  var executor: BatchRunExecutor<Map>
  var summary = ReplaySummary()
  /// What the segment at hand is about.
  var replica = 0
  var path = Iterate(order: 0, n: 0)
  /// How many updates states have that the segment only makes again; empty where it makes none.
  var repeats = 0..<0
  /// Whether the running averages stand at the lane's state.
  var isAveraging = false
  /// Whether the state was restored, or stored, as it is.
  var isStored = false

  init(state: consuming TrainingState, executor: consuming BatchRunExecutor<Map>) {
    self.state = state
    self.executor = executor
  }

  mutating func begin(replica: Int, path: Iterate, repeats: Range<Int>) {
    self.replica = replica
    self.path = path
    self.repeats = repeats
    state.updateCount = 0
    isAveraging = false
    isStored = false
  }

  mutating func finishObservation(since begin: ContinuousClock.Instant, progress: ReplayProgress) {
    summary.observations += 1
    summary.observationSeconds += (.now - begin) / .seconds(1)
    progress.addObservation()
  }

  /// - Parameter averages: the state enters each of them after every update; nil: the path is not averaged.
  mutating func apply(_ run: BatchRun, of map: Map, averages: [RunningAverage]? = nil) throws {
    isAveraging = averages != nil
    let begun = state.updateCount
    defer { if state.updateCount > begun { isStored = false } }
    try executor.apply(run, of: map, to: &state, averages: averages ?? [])
  }
}
