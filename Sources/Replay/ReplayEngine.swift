import Tensors

/// What a finished replay took.
public struct ReplaySummary: Sendable {
  public internal(set) var gradientEvaluations = 0
  /// States that were looked at, running averages among them.
  public internal(set) var observations = 0
  /// Seconds the lanes spent in updates, summed over lanes.
  public internal(set) var updateSeconds = 0.0
  /// Seconds the lanes spent observing, summed over lanes.
  public internal(set) var observationSeconds = 0.0

  public init() {}

  public static func + (a: ReplaySummary, b: ReplaySummary) -> ReplaySummary {
    var sum = a
    sum.gradientEvaluations += b.gradientEvaluations
    sum.observations += b.observations
    sum.updateSeconds += b.updateSeconds
    sum.observationSeconds += b.observationSeconds
    return sum
  }
}

/// Follows plans, lane by lane.
///
/// Lanes share nothing but slots, and a slot is written when no lane reads it; so an iterate's bits do not depend on
/// how many lanes there are or which tasks they take.
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
    let board = TaskBoard(plan)
    progress.begin(plan)
    return try await withThrowingTaskGroup(of: ReplaySummary.self) { group in
      for _ in 0..<min(lanes, max(1, plan.taskCount)) {
        group.addTask { try await runLane(plan, board: board, shared: shared, progress: progress) }
      }
      var summary = ReplaySummary()
      do {
        for try await lane in group { summary = summary + lane }
      } catch {
        // Lanes that wait for a task must not wait for the one that failed.
        await board.stop()
        throw error
      }
      return summary
    }
  }

  private func runLane(
    _ plan: ReplayPlan, board: TaskBoard, shared: SharedStates, progress: ReplayProgress
  ) async throws -> ReplaySummary {
    var lane = Lane<Map>(
      state: TrainingState(values: try StateBuffer(count: maps[0].stateCount)), workspace: try maps[0].makeWorkspace())
    while let task = await board.next() {
      lane.begin(
        replica: plan.replica(ofTask: task), path: plan.path(ofTask: task), repeats: plan.repeatedPositions(ofTask: task))
      do {
        try plan.forEachInstruction(ofTask: task) { instruction in
          try follow(instruction, on: &lane, shared: shared, progress: progress)
        }
      } catch let error as CancellationError {
        // What this lane has done since its last checkpoint is not lost either. States it was only making again lie on a path
        // whose checkpoints are there, some with averages that this lane does not have.
        if !lane.repeats.contains(lane.state.updateCount) { try checkpoint(&lane, shared: shared) }
        throw error
      }
      await board.finish(task)
    }
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
      // The task board lets no task write a slot before its readers are done.
      break
    case .checkpoint:
      try checkpoint(&lane, shared: shared)
    case .apply(let run):
      lane.isAveraging = false
      try lane.apply(run, map: maps[lane.replica], progress: progress)
      lane.summary.updateSeconds += (.now - begin) / .seconds(1)
    case .applyAveraging(let run):
      lane.isAveraging = true
      try lane.apply(
        run, map: maps[lane.replica], progress: progress, averages: shared.averages[lane.replica])
      lane.summary.updateSeconds += (.now - begin) / .seconds(1)
    case .observe(let iterates):
      try observer.observe(iterates, replica: lane.replica, state: lane.state, workspace: &lane.workspace)
      lane.finishObservation(since: begin, progress: progress)
    case .observeAverages(let n):
      for (index, average) in shared.averages[lane.replica].enumerated() {
        let begin = ContinuousClock.now
        try average.check(standsAt: n)
        try average.state.read { state throws in
          try observer.observeAverage(index, n: n, replica: lane.replica, state: state, workspace: &lane.workspace)
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

/// What one lane owns.
private struct Lane<Map: UpdateMap>: ~Copyable {
  var state: TrainingState
  var workspace: Map.Workspace
  var summary = ReplaySummary()
  /// What the task at hand is about.
  var replica = 0
  var path = Iterate(order: 0, n: 0)
  /// How many updates states have that the task only makes again; empty where it makes none.
  var repeats = 0..<0
  /// Whether the running averages stand at the lane's state.
  var isAveraging = false
  /// Whether the state was restored, or stored, as it is.
  var isStored = false

  init(state: consuming TrainingState, workspace: consuming Map.Workspace) {
    self.state = state
    self.workspace = workspace
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

  mutating func apply(
    _ run: BatchRun, map: Map, progress: ReplayProgress, averages: [RunningAverage] = []
  ) throws {
    for index in 0..<run.count {
      try Task.checkCancellation()
      map.apply(batch: run[index], position: state.updateCount, to: &state.values, workspace: &workspace)
      state.updateCount += 1
      isStored = false
      for average in averages { try average.add(state) }
      summary.gradientEvaluations += 1
      progress.addUpdate()
    }
  }
}
