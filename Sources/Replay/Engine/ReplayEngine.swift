import Foundation
import Tensors

/// Executes plans on several lanes.
///
/// Lanes share nothing but slots, and no slot is written while a lane reads it. So the bits of an iterate depend
/// neither on the number of lanes nor on which lane takes which segment.
public struct ReplayEngine<Map: UpdateMap, Observer: IterateObserver>: Sendable where Observer.Workspace == Map.Workspace {
  /// One update map per replica. Their states have the same length, and a workspace of one map serves all.
  let maps: [Map]
  /// One initial state per replica.
  let initialStates: [InitialState]
  let observer: Observer
  /// The store in which states are saved and from which they are restored; nil for plans that do neither.
  let checkpoints: (any CheckpointStore)?
  /// The storage for states that have no slot in memory; nil for plans without disk slots.
  let diskSlots: (any SlotStorage)?
  /// The rules of the running averages of forward's iterates. Their number is that the plan was made for.
  let averages: [AverageRule]

  /// - Parameter initialStates: One initial state for each of `maps`, as long as their states.
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

  /// How often lanes look whether their states are still finite, in updates, where diverged paths end. They look at checkpoints and
  /// at observations too.
  private static var finiteCheckInterval: Int { 64 }

  /// Executes `plan`. When it returns, every planned iterate has been observed once, or found to have diverged.
  /// - Throws: The first error of making a workspace or of an observation, once all lanes have stopped;
  ///   `CancellationError` if the surrounding task was cancelled, once the lanes' states have been stored;
  ///   `ReplayError` if a running average would be wrong.
  public func run(
    _ plan: ReplayPlan, lanes: Int, progress: ReplayProgress = ReplayProgress()
  ) async throws -> ReplaySummary {
    precondition(plan.replicas == maps.count, "the plan is for \(plan.replicas) replicas, not \(maps.count)")
    precondition(plan.averagesKept == 0 || plan.averagesKept == averages.count, "the plan is for \(plan.averagesKept) averages")
    precondition(plan.diskSlots == 0 || diskSlots != nil, "the plan keeps states on disk")
    let shared = SharedStates(
      slots: try (0..<plan.memorySlots).map { _ in try StoredState(for: maps[0]) },
      averages: try maps.map { map in
        try averages.prefix(plan.averagesKept).map { try RunningAverage($0, for: map) }
      })
    let board = SegmentBoard(plan)
    progress.expect(
      updates: plan.gradientEvaluations, observations: plan.observationCount + plan.averageObservationCount)
    let laneCount = min(lanes, max(1, plan.segmentCount))
    let executors = (0..<min(laneCount, ProcessInfo.processInfo.activeProcessorCount)).map { _ in LaneExecutor() }
    return try await withThrowingTaskGroup(of: ReplaySummary.self) { group in
      for lane in 0..<laneCount {
        group.addTask(executorPreference: executors[lane % executors.count]) {
          try await runLane(plan, board: board, shared: shared, progress: progress)
        }
      }
      var summary = ReplaySummary()
      do {
        for try await lane in group { summary = summary + lane }
      } catch {
        // Lanes that wait for a segment must not wait for the lane that failed.
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
      state: TrainingState(values: try maps[0].makeState()),
      executor: try BatchRunExecutor(for: maps[0], progress: progress))
    while let segment = await board.next() {
      lane.begin(
        replica: plan.replica(ofSegment: segment), path: plan.path(ofSegment: segment), repeats: plan.repeatedPositions(ofSegment: segment))
      lane.hasDiverged = shared.diverged.continues(segment, of: plan)
      let begunDiverged = lane.hasDiverged
      do {
        // Updates wait until what comes next shows whether their last state is observed.
        var waiting: [ReplayInstruction] = []
        func followWaiting(isObserved: Bool) throws {
          for instruction in waiting {
            try follow(instruction, on: &lane, shared: shared, isObserved: isObserved, progress: progress)
          }
          waiting.removeAll(keepingCapacity: true)
        }
        try plan.forEachInstruction(ofSegment: segment) { instruction in
          switch instruction {
          case .checkpoint where !waiting.isEmpty:
            waiting.append(instruction)
          case .apply, .applyAveraging:
            try followWaiting(isObserved: false)
            waiting.append(instruction)
          default:
            if case .observe = instruction { try followWaiting(isObserved: true) } else { try followWaiting(isObserved: false) }
            try follow(instruction, on: &lane, shared: shared, progress: progress)
          }
        }
        try followWaiting(isObserved: false)
      } catch let error as CancellationError {
        // What this lane has done since its last checkpoint is stored too. States that it only computed again are
        // not: their path has its checkpoints already, some with averages that this lane does not have.
        if !lane.repeats.contains(lane.state.updateCount) { try checkpoint(&lane, shared: shared) }
        throw error
      }
      if lane.hasDiverged {
        let position = begunDiverged ? 0 : lane.state.updateCount
        shared.diverged.add(segment, of: plan, from: position)
      }
      await board.finish(segment)
    }
    lane.summary.gradientEvaluations = lane.executor.updates
    lane.summary.averagedStates = lane.executor.averagedStates
    lane.summary.averagingSeconds = lane.executor.averagingSeconds
    lane.summary.updateSeconds -= lane.executor.averagingSeconds
    return lane.summary
  }

  /// - Parameter isObserved: Whether the last state of the instruction's updates is observed.
  private func follow(
    _ instruction: ReplayInstruction, on lane: inout Lane<Map>, shared: SharedStates, isObserved: Bool = false,
    progress: ReplayProgress
  ) throws {
    let begin = ContinuousClock.now
    if lane.hasDiverged { return try passOver(instruction, on: &lane, progress: progress) }
    switch instruction {
    case .start(let replica):
      try initialStates[replica].write(to: &lane.state)
    case .restore(let replica, let stored, let averages):
      let taken = averages ? shared.averages[replica] : []
      try checkpoints?.restore(stored, replica: replica, into: &lane.state, averages: taken.map(\.state))
      for average in taken { try average.check(standsAt: lane.state.updateCount) }
      lane.state.trainingLoss = nil
      lane.isAveraging = averages
      lane.isStored = true
    case .load(let slot, .memory):
      try shared.slots[slot].copy(to: &lane.state)
    case .load(let slot, .disk):
      try diskSlots?.load(slot: slot, into: &lane.state)
      lane.state.trainingLoss = nil
    case .save(let slot, .memory):
      try shared.slots[slot].copy(from: lane.state)
    case .save(let slot, .disk):
      try diskSlots?.save(lane.state, slot: slot)
    case .release:
      // The board lets no segment write a slot before all readers of its last content are done.
      break
    case .checkpoint:
      try checkpoint(&lane, shared: shared)
    case .apply(let run):
      try apply(run, on: &lane, averages: nil, isObserved: isObserved, progress: progress)
      lane.summary.updateSeconds += (.now - begin) / .seconds(1)
    case .applyAveraging(let run):
      try apply(run, on: &lane, averages: shared.averages[lane.replica], isObserved: isObserved, progress: progress)
      lane.summary.updateSeconds += (.now - begin) / .seconds(1)
    case .observe(let iterates):
      guard try isFinite(&lane) else { return try passOver(instruction, on: &lane, progress: progress) }
      do {
        try observer.observe(iterates, replica: lane.replica, state: lane.state, workspace: &lane.executor.workspace)
        lane.finishObservation(since: begin, progress: progress)
      } catch is IterateDiverged where observer.endsDivergedPaths {
        lane.hasDiverged = true
        try passOver(instruction, on: &lane, progress: progress)
      }
    case .observeAverages(let n):
      for (index, average) in shared.averages[lane.replica].enumerated() {
        let begin = ContinuousClock.now
        try average.check(standsAt: n)
        do {
          try average.state.read { state throws in
            try observer.observeAverage(index, n: n, replica: lane.replica, state: state, workspace: &lane.executor.workspace)
          }
        } catch is IterateDiverged where observer.endsDivergedPaths {
          try observer.observeAverageDivergence(index, n: n, replica: lane.replica)
        }
        lane.finishObservation(since: begin, progress: progress)
      }
    }
  }

  /// Applies a run as long as the state is finite. The rest is passed over.
  private func apply(
    _ run: BatchRun, on lane: inout Lane<Map>, averages: [RunningAverage]?, isObserved: Bool, progress: ReplayProgress
  ) throws {
    guard observer.endsDivergedPaths else {
      return try lane.apply(run, of: maps[lane.replica], averages: averages, measuresLoss: isObserved)
    }
    var rest: BatchRun? = run
    while let run = rest {
      guard !lane.hasDiverged else { return passOver(run, on: &lane, progress: progress) }
      let stretch = run.prefix(min(run.count, Self.finiteCheckInterval - lane.state.updateCount % Self.finiteCheckInterval))
      try lane.apply(
        stretch, of: maps[lane.replica], averages: averages, measuresLoss: isObserved && stretch.count == run.count)
      if lane.state.updateCount % Self.finiteCheckInterval == 0 { _ = try isFinite(&lane) }
      rest = stretch.count < run.count ? run.suffix(from: stretch.count) : nil
    }
  }

  /// Whether the lane's state is finite, or paths go on whatever it is. If it is not, the lane's path ends.
  private func isFinite(_ lane: inout Lane<Map>) throws -> Bool {
    guard observer.endsDivergedPaths else { return true }
    lane.hasDiverged = try !lane.state.values.isFinite(first: maps[lane.replica].numberCount)
    return !lane.hasDiverged
  }

  /// What is left of an instruction behind a diverged state: nothing is computed, and iterates have diverged.
  private func passOver(_ instruction: ReplayInstruction, on lane: inout Lane<Map>, progress: ReplayProgress) throws {
    let begin = ContinuousClock.now
    switch instruction {
    case .apply(let run), .applyAveraging(let run):
      passOver(run, on: &lane, progress: progress)
    case .observe(let iterates):
      try observer.observeDivergence(iterates, replica: lane.replica)
      lane.finishObservation(since: begin, progress: progress)
    case .observeAverages(let n):
      for index in averages.indices {
        try observer.observeAverageDivergence(index, n: n, replica: lane.replica)
        lane.finishObservation(since: begin, progress: progress)
      }
    case .start, .restore, .load, .save, .release, .checkpoint:
      break
    }
  }

  private func passOver(_ run: BatchRun, on lane: inout Lane<Map>, progress: ReplayProgress) {
    lane.summary.skippedGradientEvaluations += run.count
    progress.expect(updates: -run.count)
  }

  private func checkpoint(_ lane: inout Lane<Map>, shared: SharedStates) throws {
    guard let checkpoints, lane.state.updateCount > 0, !lane.isStored, !lane.hasDiverged, try isFinite(&lane) else { return }
    let averages = lane.isAveraging ? shared.averages[lane.replica] : []
    for average in averages { try average.check(standsAt: lane.state.updateCount) }
    try checkpoints.save(
      lane.state, averages: averages.map(\.state), replica: lane.replica,
      at: PathPoint(lane.path, position: lane.state.updateCount))
    lane.isStored = true
  }
}

/// What lanes share during a replay.
private final class SharedStates: Sendable {
  let slots: [StoredState]
  /// The running averages of each replica, in the order of the rules; empty if nothing is averaged.
  let averages: [[RunningAverage]]
  let diverged = DivergedNodes()

  init(slots: [StoredState], averages: [[RunningAverage]]) {
    self.slots = slots
    self.averages = averages
  }
}

/// The nodes of each replica's tree that were reached by diverged paths.
private final class DivergedNodes: Sendable {
  private let nodes = Lock<[Int: Set<Int>]>([:])

  /// Whether a segment continues a path that has diverged.
  func continues(_ segment: Int, of plan: ReplayPlan) -> Bool {
    nodes.withLock { nodes in
      nodes[plan.replica(ofSegment: segment)].map { plan.continues(from: $0, segment: segment) } ?? false
    }
  }

  /// Adds the nodes that a segment reaches at an update count of `position` or more.
  func add(_ segment: Int, of plan: ReplayPlan, from position: Int) {
    nodes.withLock { $0[plan.replica(ofSegment: segment), default: []].formUnion(plan.nodes(ofSegment: segment, from: position)) }
  }
}

/// The state and workspace that one lane owns.
private struct Lane<Map: UpdateMap>: ~Copyable {
  var state: TrainingState
  var executor: BatchRunExecutor<Map>
  var summary = ReplaySummary()
  /// The replica of the current segment; `path` is an iterate on whose path the segment lies.
  var replica = 0
  var path = Iterate(order: 0, n: 0)
  /// The update counts of states that the segment only computes again; empty if there are none.
  var repeats = 0..<0
  /// Whether the running averages belong to the lane's present state.
  var isAveraging = false
  /// Whether the present state has just been restored or stored.
  var isStored = false
  /// Whether the path of the present segment has diverged, so that nothing more of it is computed.
  var hasDiverged = false

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

  /// - Parameter averages: The running averages that the state is added to after every update; nil if the path is not
  ///   averaged.
  mutating func apply(_ run: BatchRun, of map: Map, averages: [RunningAverage]?, measuresLoss: Bool) throws {
    isAveraging = averages != nil
    let begun = state.updateCount
    defer { if state.updateCount > begun { isStored = false } }
    try executor.apply(run, of: map, to: &state, averages: averages ?? [], measuresLoss: measuresLoss)
  }
}
