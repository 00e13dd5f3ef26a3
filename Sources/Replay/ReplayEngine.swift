import Synchronization
import Tensors

/// How far a replay is. Read it from any thread.
public final class ReplayProgress: Sendable {
  private let updates = Atomic<Int>(0)
  private let looks = Atomic<Int>(0)

  public init() {}

  /// Updates applied so far.
  public var gradientEvaluations: Int { updates.load(ordering: .relaxed) }

  /// States looked at so far, running averages among them.
  public var observations: Int { looks.load(ordering: .relaxed) }

  func addObservation() { looks.add(1, ordering: .relaxed) }

  func addUpdate() { updates.add(1, ordering: .relaxed) }
}

/// What a finished replay took.
public struct ReplaySummary: Sendable {
  public internal(set) var gradientEvaluations = 0
  /// States that were looked at, running averages among them.
  public internal(set) var observations = 0
  /// Seconds the lanes spent in updates, summed over lanes.
  public internal(set) var updateSeconds = 0.0
  /// Seconds the lanes spent observing, summed over lanes.
  public internal(set) var observationSeconds = 0.0

  static func + (a: ReplaySummary, b: ReplaySummary) -> ReplaySummary {
    ReplaySummary(
      gradientEvaluations: a.gradientEvaluations + b.gradientEvaluations,
      observations: a.observations + b.observations,
      updateSeconds: a.updateSeconds + b.updateSeconds,
      observationSeconds: a.observationSeconds + b.observationSeconds)
  }
}

/// Follows plans, lane by lane.
///
/// Lanes share nothing but slots, and a slot is written when no lane reads it; so an iterate's bits do not depend on
/// how many lanes there are or which tasks they take.
public struct ReplayEngine<Map: UpdateMap, Observer: IterateObserver>: Sendable {
  /// An update map a replica. They have equally long states, and any takes any other's workspace.
  let maps: [Map]
  /// An initial state a replica.
  let initialStates: [StoredState]
  let observer: Observer
  /// The decay β of running averages: after n updates, iterate i has the weight (1 − β) β^(n−i) / (1 − βⁿ).
  let averageDecay: Double

  /// - Parameter initialStates: one for each of `maps`, as long as their states.
  public init(maps: [Map], initialStates: [StoredState], observer: Observer, averageDecay: Double = 0) {
    precondition(maps.count == initialStates.count && !maps.isEmpty, "one initial state a map")
    self.maps = maps
    self.initialStates = initialStates
    self.observer = observer
    self.averageDecay = averageDecay
  }

  /// Follows `plan`; when it returns, every planned iterate has been observed once.
  /// - Throws: the first error of a map's or observer's workspace or observation, when all lanes have stopped;
  ///   `CancellationError` if the surrounding task was cancelled.
  public func run(
    _ plan: ReplayPlan, lanes: Int, progress: ReplayProgress = ReplayProgress()
  ) async throws -> ReplaySummary {
    precondition(plan.replicas == maps.count, "the plan is for \(plan.replicas) replicas, not \(maps.count)")
    let stateCount = maps[0].stateCount
    let shared = SharedStates(
      slots: try (0..<plan.slotCount).map { _ in try StoredState(count: stateCount) },
      averages: try plan.averaged.isEmpty ? [] : maps.map { _ in try RunningAverage(count: stateCount) })
    let board = TaskBoard(plan)
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
    var lane = Lane<Map, Observer>(
      state: TrainingState(values: try StateBuffer(count: maps[0].stateCount)),
      workspace: try maps[0].makeWorkspace(),
      observerWorkspace: try observer.makeWorkspace())
    while let task = await board.next() {
      var replica = plan.tasks[task].replica
      try plan.forEachInstruction(ofTask: task) { instruction in
        try follow(instruction, on: &lane, replica: &replica, shared: shared, progress: progress)
      }
      await board.finish(task)
    }
    return lane.summary
  }

  private func follow(
    _ instruction: ReplayInstruction, on lane: inout Lane<Map, Observer>, replica: inout Int,
    shared: SharedStates, progress: ReplayProgress
  ) throws {
    let clock = ContinuousClock()
    let begin = clock.now
    switch instruction {
    case .start(let index):
      replica = index
      initialStates[index].read { lane.state.copy(from: $0) }
    case .load(let slot):
      shared.slots[slot].read { lane.state.copy(from: $0) }
    case .save(let slot):
      shared.slots[slot].write { $0.copy(from: lane.state) }
    case .release:
      // The task board lets no task write a slot before its readers are done.
      break
    case .apply(let run):
      try lane.apply(run, map: maps[replica], progress: progress)
      lane.summary.updateSeconds += (clock.now - begin) / .seconds(1)
    case .applyAveraging(let run):
      try lane.apply(run, map: maps[replica], progress: progress, average: shared.averages[replica], decay: averageDecay)
      lane.summary.updateSeconds += (clock.now - begin) / .seconds(1)
    case .observe(let iterates):
      try observer.observe(iterates, replica: replica, state: lane.state, workspace: &lane.observerWorkspace)
      lane.finishObservation(since: begin, progress: progress)
    case .observeAverage(let n):
      try shared.averages[replica].read { state throws in
        try observer.observeAverage(n: n, replica: replica, state: state, workspace: &lane.observerWorkspace)
      }
      lane.finishObservation(since: begin, progress: progress)
    }
  }
}

/// What one lane owns.
private struct Lane<Map: UpdateMap, Observer: IterateObserver>: ~Copyable {
  var state: TrainingState
  var workspace: Map.Workspace
  var observerWorkspace: Observer.Workspace
  var summary = ReplaySummary()

  init(state: consuming TrainingState, workspace: consuming Map.Workspace, observerWorkspace: consuming Observer.Workspace) {
    self.state = state
    self.workspace = workspace
    self.observerWorkspace = observerWorkspace
  }

  mutating func finishObservation(since begin: ContinuousClock.Instant, progress: ReplayProgress) {
    summary.observations += 1
    summary.observationSeconds += (.now - begin) / .seconds(1)
    progress.addObservation()
  }

  mutating func apply(
    _ run: BatchRun, map: Map, progress: ReplayProgress, average: RunningAverage? = nil, decay: Double = 0
  ) throws {
    for index in 0..<run.count {
      try Task.checkCancellation()
      map.apply(batch: run[index], position: state.updateCount, to: &state.values, workspace: &workspace)
      state.updateCount += 1
      average?.add(state, decay: decay)
      summary.gradientEvaluations += 1
      progress.addUpdate()
    }
  }
}
