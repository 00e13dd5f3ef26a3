import Formats
import Replay
import Tensors

/// A run before anything of it is stored: a problem, its workload, and what it may use. A variation of a run is
/// another value.
public struct RunSpecification<Problem: TrainingProblem>: Sendable {
  public let problem: Problem
  public let workload: Workload
  /// What the run may use.
  public let budgets: Budgets
  /// What the run uses. Before `fitted()` it keeps everything in memory.
  public internal(set) var resources: Resources
  /// The iterates to observe, as far as they are known while an order or a schedule is automatic.
  public internal(set) var selection: IterateSelection
  /// The choice made for the memory budget; nil without a memory budget, and before `fitted()`.
  public internal(set) var memoryChoice: MemoryChoice?
  /// The memory levels whose times were measured for the memory budget; nil if none were.
  var measuredLevels: [MemoryLevel<Problem>]?
  /// One update map per seed.
  package let maps: [Problem.Map]
  /// The memory of the process when the problem had been made.
  let processBefore: ResidentMemory.Sizes

  /// The length of the training state, in floats.
  public var stateCount: Int { maps[0].stateCount }
  public var stateBytes: Int { stateCount * MemoryLayout<Float>.stride }
  /// The number of leading floats of a state that are numbers. Those behind them, such as optimizer slots in codes, are only bits.
  var numberCount: Int { maps[0].numberCount }
  /// The number of leading floats of a state that are numbers of the layout's tensors. Those behind them, such as
  /// optimizer slots, have no name.
  var namedCount: Int { min(problem.layout.count, numberCount) }

  /// - Throws: `RunError.usage` if the problem's metrics or the budgets are not valid, `RunError.impossible` if an
  ///   order asks for batches that do not exist, and whatever the problem throws.
  public init(_ problem: Problem, _ workload: Workload, budgets: Budgets = Budgets()) throws {
    try Metric.check(problem.metrics)
    try budgets.check()
    self.problem = problem
    self.workload = workload
    self.budgets = budgets
    resources = Resources(lanes: budgets.lanes)
    maps = try workload.seeds.map { try problem.map(seed: $0) }
    processBefore = ResidentMemory.Sizes()
    selection = IterateSelection()
    if let tensor = problem.layout.tensors.first(where: { $0.region.offset + $0.region.count > stateCount }) {
      throw RunError.impossible(
        """
        the layout of \(problem.name) has the tensor \(tensor.name) up to float \(tensor.region.offset + tensor.region.count), but its \
        states have \(stateCount); make them at least as long as the layout
        """)
    }
    guard maps.allSatisfy({ $0.stateCount == stateCount && $0.numberCount == numberCount }) else {
      throw RunError.impossible("the maps of \(problem.name) have states of different lengths; make them alike for all seeds")
    }
    guard (0...stateCount).contains(numberCount) else {
      throw RunError.impossible("states of \(problem.name) have \(stateCount) floats, of which \(numberCount) can't be numbers")
    }
    // Orders with a last iterate are checked before anything is planned. An automatic schedule may ask for any n.
    for (observed, points) in zip(workload.orders, workload.points) {
      guard let order = observed.order, let last = order.lastIterate else { continue }
      for n in workload.isAdaptive(observed) ? Array(1...min(workload.steps, last + 1)) : points { _ = try sequence(of: order, n) }
    }
    selection = workload.selection(after: [], lanes: budgets.lanes).selection
    if problem.batchCount != nil {
      for (order, points) in selection.curves { for n in points { _ = try sequence(of: order, n) } }
    }
  }

  /// Copies a specification with parts of it replaced.
  private init(
    _ other: RunSpecification, problem: Problem, maps: [Problem.Map], workload: Workload, budgets: Budgets, resources: Resources,
    selection: IterateSelection
  ) {
    self.problem = problem
    self.maps = maps
    self.workload = workload
    self.budgets = budgets
    self.resources = resources
    self.selection = selection
    memoryChoice = other.memoryChoice
    measuredLevels = other.measuredLevels
    processBefore = other.processBefore
  }

  /// The specification with another problem that gives the same bits.
  func with(_ problem: Problem) throws -> RunSpecification {
    RunSpecification(
      self, problem: problem, maps: try workload.seeds.map { try problem.map(seed: $0) }, workload: workload, budgets: budgets,
      resources: resources, selection: selection)
  }

  func with(_ resources: Resources) -> RunSpecification {
    RunSpecification(
      self, problem: problem, maps: maps, workload: workload, budgets: budgets, resources: resources, selection: selection)
  }

  /// The specification with other budgets, and with resources that are not fitted to them.
  func with(_ budgets: Budgets) -> RunSpecification {
    var changed = RunSpecification(
      self, problem: problem, maps: maps, workload: workload, budgets: budgets, resources: Resources(lanes: budgets.lanes),
      selection: selection)
    changed.memoryChoice = nil
    changed.measuredLevels = nil
    return changed
  }

  /// The specification with another workload for the same seeds. What is observed of it does not change.
  func with(_ workload: Workload) -> RunSpecification {
    RunSpecification(
      self, problem: problem, maps: maps, workload: workload, budgets: budgets, resources: resources, selection: selection)
  }

  func with(_ selection: IterateSelection) -> RunSpecification {
    RunSpecification(
      self, problem: problem, maps: maps, workload: workload, budgets: budgets, resources: resources, selection: selection)
  }

  /// The specification with a measured or corrected cost budget.
  func with(_ costBudget: CostBudget) -> RunSpecification {
    var workload = workload
    workload.costBudget = costBudget
    return with(workload)
  }

  /// The part of one seed, observed at a selection.
  func alone(_ selection: IterateSelection) -> RunSpecification {
    RunSpecification(
      self, problem: problem, maps: Array(maps.prefix(1)), workload: workload, budgets: budgets, resources: resources,
      selection: selection)
  }
}

extension RunSpecification {
  /// Digests of the inputs of the run: those of the problem and the files of orders.
  package var inputs: InputDigests { problem.inputs.adding(workload.fileDigests) }

  /// Adds the iterates that automatic orders and schedules ask for, as far as `observations`, and the iterates that
  /// have diverged, determine them.
  /// - Returns: The specification, what was found so far, and whether nothing more will be asked for once this is
  ///   observed.
  func adapted(
    to observations: [Observation], diverged: [DivergedIterate]
  ) -> (specification: RunSpecification, findings: [AdaptiveFinding], isComplete: Bool) {
    let (selection, findings, isComplete) = workload.selection(
      after: observations, diverged: diverged, lanes: resources.lanes)
    return (with(selection), findings, isComplete)
  }

  /// The specification with the orders that are observed at the n others choose, and so are not in the selection yet.
  var withOrdersToCome: RunSpecification { with(workload.withOrdersToCome(selection)) }

  /// The batch sequence of an iterate.
  /// - Throws: `RunError.impossible` if the order or the problem does not define it.
  package func sequence(of order: CompositionOrder, _ n: Int) throws(RunError) -> BatchSequence {
    if let last = order.lastIterate, n > last {
      throw .impossible(
        "\(order) has \(last) lines, an iterate each, so it has no iterate \(n); ask for fewer with `steps` or `evaluate`")
    }
    // As many as a run can have; far beyond, batch numbers would overflow.
    guard (0...BatchRun.largestBatch).contains(n) else {
      throw .impossible("there is no iterate \(n) of \(order): n is from 0 to \(BatchRun.largestBatch)")
    }
    let sequence = order.sequence(n)
    if let count = problem.batchCount {
      let last = sequence.largestBatch
      guard last <= count else {
        throw .impossible("iterate \(n) of \(order) needs batch \(last), but \(problem.name) has \(count) batches")
      }
    }
    return sequence
  }

  /// The plan for all orders, points and seeds.
  /// - Parameter progress: What each seed has stored and observed already; empty for a new run.
  /// - Throws: The errors of `ReplayPlanner.plan()`.
  public func plan(_ progress: [ReplicaProgress] = []) throws -> ReplayPlan {
    var planner = ReplayPlanner(orders: selection.orders, points: selection.points)
    planner.replicas = progress.isEmpty ? Array(repeating: ReplicaProgress(), count: maps.count) : progress
    planner.lanes = resources.lanes
    planner.averageCount = workload.averages.count
    planner.observationCost = problem.observationCost
    planner.memorySlots = resources.memorySlots
    planner.slotCosts = resources.slotCosts
    planner.checkpointInterval = budgets.checkpoints.interval
    planner.observesLastUpdates = true
    return try planner.plan()
  }

  /// - Throws: `RunError.impossible` if the disk budget has no room for what resuming an interrupted run needs: one
  ///   state per lane, and forward's running averages.
  func checkDiskBudget() throws(RunError) {
    let (lanes, averages) = (resources.lanes, workload.averages.count)
    let least = (lanes + averages) * (stateBytes + (1 << 16))
    guard let budget = budgets.disk, budget < least, budgets.checkpoints.interval != nil else { return }
    throw .impossible(
      """
      `disk-budget` is \(budget) bytes, but \(lanes) lanes and \(averages) running averages need \(least) to be resumable; give \
      so much, use fewer `lanes` or `average` none, or give up checkpoints with `checkpoint-every` 0
      """)
  }

  // MARK: Initial states

  /// Makes a state of zeros.
  package func makeState() throws -> StateBuffer { try maps[0].makeState() }

  /// The initial state of the seed at `index` in the workload's seeds.
  package func initialState(replica index: Int) throws -> TrainingState {
    var values = try makeState()
    try writeInitialState(replica: index, to: &values)
    return TrainingState(values: values)
  }

  func writeInitialState(replica index: Int, to values: inout StateBuffer) throws {
    try values.clear()
    try problem.writeInitialState(seed: workload.seeds.lowerBound + index, to: &values)
    let precision = problem.startPrecision
    if precision != .float32 {
      try values.forEachMutablePart(of: Region(offset: 0, count: numberCount)) { _, part in
        for position in 0..<part.count { part[position] = precision.rounded(part[position]) }
      }
    }
  }

  /// The states where replays of all seeds start: kept in memory, or made anew if the budget has no room for them.
  package func replayStarts() throws -> [InitialState] {
    guard resources.keepsInitialStates else {
      return maps.indices.map { replica in .made { try writeInitialState(replica: replica, to: &$0) } }
    }
    guard problem.startPrecision != .float32 else {
      return try maps.indices.map { .kept(StoredState(try initialState(replica: $0))) }
    }
    var state = TrainingState(values: try makeState())
    let slots = try PackedSlots(
      count: maps.count, stateCount: stateCount, roundedCount: numberCount, precision: problem.startPrecision,
      pagedIn: state.values.pager?.folder)
    for replica in maps.indices {
      try writeInitialState(replica: replica, to: &state.values)
      try slots.save(state, slot: replica)
    }
    return maps.indices.map { .slot(slots, $0) }
  }

  /// The size in bytes of the initial states that stay in memory.
  var keptStartBytes: Int {
    guard resources.keepsInitialStates else { return 0 }
    let isRounded = problem.startPrecision != .float32
    return maps.count * (isRounded ? PackedSlots.bytesPerSlot(stateCount: stateCount, roundedCount: numberCount) : stateBytes)
  }
}
