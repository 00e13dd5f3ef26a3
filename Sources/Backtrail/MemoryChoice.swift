import Networks
import Replay
import Tensors

/// What memory buys for an experiment, and what was chosen for its budget.
public struct MemoryChoice: Codable, Sendable {
  public struct Point: Codable, Sendable {
    /// The predicted peak of the process.
    public let peakBytes: Int
    /// Of one lane.
    public let secondsPerUpdate: Double
    /// Forward passes of stages that an update runs more than once.
    public let repeatedPasses: Int
  }

  public let lanes: Int
  /// Layers, or groups of them, whose activations are kept or computed again as one.
  public let stages: Int
  public let chosen: Point
  /// For as many lanes, from most memory to least.
  public let curve: [Point]
}

extension Experiment {
  /// The experiment with the number of lanes and the schedule of activations that take least time within the
  /// configuration's memory budget; itself without one. Neither changes a bit.
  /// - Parameters:
  ///   - isOpen: whether the run's folder and database are open already.
  ///   - progress: what is there already, by seed; empty for nothing.
  /// - Throws: `RunError.impossible` with the least budget and the largest terms where nothing fits.
  public func fitted(isOpen: Bool = false, progress: [ReplicaProgress] = []) throws -> Experiment {
    FloatBuffer.returnFreedMemory()
    guard let given = configuration.memoryBudget, memoryChoice == nil else { return self }
    let whole = progress.isEmpty ? withOrdersToCome : self
    var fitted = try whole.fitted(to: given - Self.margin(given), isOpen: isOpen, progress: progress)
    (fitted.orders, fitted.points) = (orders, points)
    return fitted
  }

  /// Fits the experiment anew to what is left of it, where the lanes and slots chosen before have no room for its plan.
  func refitted(progress: [ReplicaProgress]) throws -> Experiment {
    var unfitted = self
    unfitted.memoryChoice = nil
    unfitted.memorySlots = nil
    unfitted.keepsInitialStates = true
    unfitted.slotCosts = SlotCosts(step: 1)
    return try unfitted.fitted(isOpen: true, progress: progress)
  }

  private func fitted(to budget: Int, isOpen: Bool, progress: [ReplicaProgress]) throws -> Experiment {
    let guessed = MemoryCurve(maps[0].network)
    var search = BudgetSearch(self, curve: guessed, budget: budget, isOpen: isOpen, progress: progress)
    let least = try search.least()
    guard least.peakBytes <= budget else { throw doesNotFit(least) }
    let curve = MemoryCurve(maps[0].network, costs: try measuredCosts())
    FloatBuffer.returnFreedMemory()
    search = BudgetSearch(self, curve: curve, budget: budget, isOpen: isOpen, progress: progress)
    let best = try search.best()
    // Planning itself takes memory, and has taken it by now.
    FloatBuffer.returnFreedMemory()
    guard let best, ResidentMemory.peakBytes <= budget else { throw doesNotFit(try search.least()) }
    return try best.experiment.scheduled(best.point.schedule, curve: curve, plan: best.plan, isOpen: isOpen)
  }

  /// What is left free of a budget, for what no estimate knows: the largest error seen in measurements.
  private static func margin(_ budget: Int) -> Int { budget / 100 + (2 << 20) }

  /// What memory buys with the lanes and the schedule the experiment has.
  func memoryChoice(curve: MemoryCurve, plan: PlanFootprint, isOpen: Bool = false) -> MemoryChoice {
    let process = ResidentMemory.Sizes()
    let points = curve.points.map { point in
      MemoryChoice.Point(
        peakBytes: memoryEstimate(
          plan, lanes: configuration.lanes, arenaCount: point.arenaCount, isOpen: isOpen, process: process
        ).peakBytes, secondsPerUpdate: point.seconds, repeatedPasses: point.schedule.repeatedPasses)
    }
    let index = curve.points.firstIndex { $0.arenaCount <= maps[0].network.arenaCount } ?? 0
    return MemoryChoice(
      lanes: configuration.lanes, stages: maps[0].network.stageCosts.count, chosen: points[index], curve: points)
  }

  private func scheduled(
    _ schedule: ActivationSchedule, curve: MemoryCurve, plan: PlanFootprint, isOpen: Bool
  ) throws -> Experiment {
    var fitted = self
    let network = try maps[0].network.rescheduled(schedule)
    for index in maps.indices { fitted.maps[index].network = network }
    fitted.memoryChoice = fitted.memoryChoice(curve: curve, plan: plan, isOpen: isOpen)
    return fitted
  }

  /// The stages' times, measured in the least memory that an update takes.
  func measuredCosts() throws -> [StageCost] {
    guard let least = MemoryCurve(maps[0].network).points.last else { return maps[0].network.stageCosts }
    var map = maps[0]
    map.network = try map.network.rescheduled(least.schedule)
    var state = try initialState(replica: 0)
    var workspace = try map.makeWorkspace()
    return map.measuredCosts(&state.values, workspace: &workspace)
  }

  /// - Parameter estimate: of the least the run can do with.
  func doesNotFit(_ estimate: MemoryEstimate) -> RunError {
    // From one start of the process to the next its size differs by a MiB or two.
    let least = estimate.peakBytes + Self.margin(estimate.peakBytes * 102 / 100) + (3 << 20)
    let terms = estimate.terms.sorted { $0.bytes > $1.bytes }.prefix(3)
      .map { "\($0.name) \(mebibytes($0.bytes))" }.joined(separator: ", ")
    return .impossible(
      """
      --memory-budget is \(mebibytes(configuration.memoryBudget ?? 0)), but the least this run can do with is \
      \(mebibytes(least)), on one lane with every activation computed again that can be; the largest parts: \(terms). Give \
      more, or take less with --batch-size, --evaluation-batch-size or a smaller --model
      """)
  }
}

/// A size for messages, rounded up.
private func mebibytes(_ bytes: Int) -> String { "\((bytes + (1 << 20) - 1) >> 20)MiB" }
