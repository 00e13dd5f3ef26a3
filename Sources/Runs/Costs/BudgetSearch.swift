import Formats
import Replay
import Tensors

/// Searches for the lanes, slots and memory level that take the least time within a memory budget.
///
/// Plans may be large, so each distinct plan is made once and only its figures are kept. Most plans need not be made
/// at all: no plan is shorter than the one with a slot for every branching state, and none needs less memory than
/// that plan without its slots.
struct BudgetSearch<Problem: TrainingProblem> {
  struct Choice {
    var seconds: Double
    let level: MemoryLevel<Problem>
    let specification: RunSpecification<Problem>
    let plan: PlanFootprint
  }

  /// The figures of a plan that the search keeps.
  private struct Figures {
    var footprint: PlanFootprint
    /// The duration in updates.
    let duration: Double
  }

  private let specification: RunSpecification<Problem>
  /// The memory levels, from fastest to slowest.
  private let levels: [MemoryLevel<Problem>]
  private let budget: Int
  private let isOpen: Bool
  private let progress: [ReplicaProgress]
  private let disk: DiskTimes
  /// The memory of the process before anything was planned.
  private let process = ResidentMemory.Sizes()

  init(
    _ specification: RunSpecification<Problem>, levels: [MemoryLevel<Problem>], budget: Int, disk: DiskTimes, isOpen: Bool,
    progress: [ReplicaProgress]
  ) {
    self.specification = specification
    self.levels = levels
    self.budget = budget
    self.disk = disk
    self.isOpen = isOpen
    self.progress = progress
  }

  /// The choice that takes the least time. Among equally fast ones it has the fewest lanes, then keeps the most in
  /// memory. Nil if nothing fits.
  func best() throws -> Choice? {
    guard let fastest = levels.first else { return nil }
    let most = specification.resources.lanes
    let trial = trial(lanes: most, keepsInitialStates: true, slots: nil)
    let plan = try trial.plan(progress)
    let lanes = min(most, max(1, plan.segmentCount))
    // With fewer lanes there are fewer slots too, so lanes wait for each other at least as much.
    let bounds = (1...lanes).map { plan.duration(lanes: $0, observationCost: specification.problem.observationCost) * fastest.secondsPerUpdate }
    let whole = PlanFootprint(plan)
    var best: Choice?
    for lanes in (1...lanes).reversed() {
      if let best, bounds[lanes - 1] > best.seconds { continue }
      guard let found = try self.best(lanes: lanes, whole: whole, bound: bounds[lanes - 1], below: best?.seconds ?? .infinity)
      else { continue }
      best = found
    }
    return best
  }

  /// - Parameters:
  ///   - whole: The footprint of the plan with a slot for every branching state.
  ///   - bound: A lower bound of the time with this many lanes, in seconds.
  ///   - limit: The time in seconds above which a choice is of no use.
  private func best(lanes: Int, whole: PlanFootprint, bound: Double, below limit: Double) throws -> Choice? {
    var best: Choice?
    for keepsInitialStates in [true, false] {
      if let best, bound >= best.seconds { break }
      var trial = trial(lanes: lanes, keepsInitialStates: keepsInitialStates, slots: nil)
      guard var slots = mostSlots(trial, whole: whole, lanes: lanes) else { continue }
      while slots >= 0 {
        trial.resources.memorySlots = slots
        let figures = try figures(trial)
        // Fewer slots can only mean more updates.
        guard let fastest = levels.first, figures.duration * fastest.secondsPerUpdate < best?.seconds ?? limit.nextUp else { break }
        let level = levels.first { needed(figures.footprint, trial, lanes: lanes, memory: $0.memory) <= budget }
        if let level, figures.duration * level.secondsPerUpdate < best?.seconds ?? limit.nextUp {
          best = Choice(
            seconds: figures.duration * level.secondsPerUpdate, level: level, specification: trial, plan: figures.footprint)
          // No level makes an update faster.
          if level.memory == fastest.memory { break }
        }
        slots = min(slots, figures.footprint.memorySlots) - 1
      }
    }
    return best
  }

  /// An upper bound of the number of memory slots; nil if the budget has not even room for a plan without slots.
  private func mostSlots(_ trial: RunSpecification<Problem>, whole: PlanFootprint, lanes: Int) -> Int? {
    var smallest = whole
    (smallest.memorySlots, smallest.diskSlots) = (0, 0)
    let most = levels.compactMap { level -> Int? in
      let left = budget - needed(smallest, trial, lanes: lanes, memory: level.memory)
      guard left >= 0 else { return nil }
      return level.memory.paging == nil ? left / max(1, specification.stateBytes) : .max
    }.max()
    return most.map { min(whole.memorySlots, $0) }
  }

  /// The least memory the run needs: on one lane, computing again whatever need not be kept.
  ///
  /// The estimate includes the memory that planning takes. With more memory the plan for all lanes is made too, so it
  /// is made here as well.
  func least() throws -> MemoryEstimate {
    _ = try figures(trial(lanes: specification.resources.lanes, keepsInitialStates: true, slots: nil))
    return try leastOnOneLane()
  }

  /// The least memory the run needs if no plan for several lanes is made, or if it has been made already.
  func leastOnOneLane() throws -> MemoryEstimate {
    var trial = trial(lanes: 1, keepsInitialStates: false, slots: 0)
    var least: MemoryEstimate?
    while true {
      let footprint = try figures(trial).footprint
      for level in levels {
        let estimate = trial.memoryEstimate(
          footprint, lanes: 1, memory: level.memory, isOpen: isOpen, process: process.withPresentPeak)
        if estimate.neededBytes < least?.neededBytes ?? .max { least = estimate }
      }
      // More memory slots are worth their space only if they make the codec of the disk slots unnecessary.
      let slots = trial.resources.memorySlots ?? 0
      guard footprint.diskSlots > 0, slots * specification.stateBytes <= 8 << 20, slots <= footprint.memorySlots else { break }
      trial.resources.memorySlots = slots + 1
    }
    return least ?? MemoryEstimate(terms: [], accountBytes: 0, bytesOnceTraining: 0, bytesToStop: 0)
  }

  private func trial(lanes: Int, keepsInitialStates: Bool, slots: Int?) -> RunSpecification<Problem> {
    var resources = Resources(lanes: lanes)
    resources.keepsInitialStates = keepsInitialStates
    resources.memorySlots = slots
    resources.slotCosts = SlotCosts(
      step: levels.first?.secondsPerUpdate ?? 1, write: disk.write, read: disk.read, start: keepsInitialStates ? 0 : disk.start)
    return specification.with(resources)
  }

  private func figures(_ trial: RunSpecification<Problem>) throws -> Figures {
    let plan = try trial.plan(progress)
    return Figures(
      footprint: PlanFootprint(plan),
      duration: plan.duration(lanes: trial.resources.lanes, observationCost: specification.problem.observationCost))
  }

  private func needed(_ plan: PlanFootprint, _ trial: RunSpecification<Problem>, lanes: Int, memory: LaneMemory) -> Int {
    trial.memoryEstimate(plan, lanes: lanes, memory: memory, isOpen: isOpen, process: process).neededBytes
  }
}
