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
  /// - Parameter isOpen: whether the run's folder and database are open already.
  /// - Throws: `RunError.impossible` with the least budget and the largest terms where nothing fits.
  public func fitted(isOpen: Bool = false) throws -> Experiment {
    FloatBuffer.returnFreedMemory()
    guard let given = configuration.memoryBudget, memoryChoice == nil else { return self }
    var fitted = try withOrdersToCome.fitted(to: given - Self.margin(given), isOpen: isOpen)
    (fitted.orders, fitted.points) = (orders, points)
    return fitted
  }

  private func fitted(to budget: Int, isOpen: Bool) throws -> Experiment {
    let curve = MemoryCurve(maps[0].network, costs: try measuredCosts(budget: budget, isOpen: isOpen))
    FloatBuffer.returnFreedMemory()
    var best: (seconds: Double, point: MemoryCurve.Point, experiment: Experiment)?
    for lanes in 1...min(configuration.lanes, max(1, try plan().taskCount)) {
      for keepsInitialStates in [true, false] {
        var trial = self
        trial.configuration.lanes = lanes
        trial.keepsInitialStates = keepsInitialStates
        trial.slotCosts = slotCosts(of: curve, keepsInitialStates: keepsInitialStates)
        var slots = try trial.plan().memorySlots
        while slots >= 0 {
          trial.memorySlots = slots
          let plan = try trial.plan()
          let updates = plan.duration(lanes: lanes, observationCost: observationCost)
          // With fewer slots there is only more to do.
          if let best, let fastest = curve.points.first, updates * fastest.seconds >= best.seconds { break }
          if let point = trial.fastest(of: curve, plan: plan, budget: budget, isOpen: isOpen),
            updates * point.seconds < best?.seconds ?? .infinity
          {
            best = (updates * point.seconds, point, trial)
          }
          slots = min(slots, plan.memorySlots) - 1
        }
      }
    }
    guard let best else { throw try doesNotFit(budget, curve: curve, isOpen: isOpen) }
    return try best.experiment.scheduled(best.point.schedule, curve: curve, isOpen: isOpen)
  }

  /// About what a state takes to be written to disk, read from there, and made from the seed.
  private func slotCosts(of curve: MemoryCurve, keepsInitialStates: Bool) -> SlotCosts {
    SlotCosts(
      step: curve.points.first?.seconds ?? 1, write: 0.002 + Double(stateBytes) / 5e8,
      read: 0.001 + Double(stateBytes) / 2e9, start: keepsInitialStates ? 0 : Double(stateCount) * 3e-8)
  }

  /// What is left free of a budget, for what no estimate knows: the largest error seen in measurements.
  private static func margin(_ budget: Int) -> Int { budget / 100 + (2 << 20) }

  /// The fastest point of the curve with which the plan stays within the budget.
  private func fastest(
    of curve: MemoryCurve, plan: ReplayPlan, budget: Int, isOpen: Bool
  ) -> MemoryCurve.Point? {
    curve.points.first {
      memoryEstimate(plan, lanes: configuration.lanes, arenaCount: $0.arenaCount, isOpen: isOpen).peakBytes <= budget
    }
  }

  /// What memory buys with the lanes and the schedule the experiment has.
  func memoryChoice(curve: MemoryCurve, isOpen: Bool = false) throws -> MemoryChoice {
    let plan = try plan()
    func point(_ point: MemoryCurve.Point) -> MemoryChoice.Point {
      MemoryChoice.Point(
        peakBytes: memoryEstimate(
          plan, lanes: configuration.lanes, arenaCount: point.arenaCount, isOpen: isOpen
        ).peakBytes, secondsPerUpdate: point.seconds, repeatedPasses: point.schedule.repeatedPasses)
    }
    let points = curve.points.map(point)
    let index = curve.points.firstIndex { $0.arenaCount <= maps[0].network.arenaCount } ?? 0
    return MemoryChoice(
      lanes: configuration.lanes, stages: maps[0].network.stageCosts.count, chosen: points[index], curve: points)
  }

  private func scheduled(
    _ schedule: ActivationSchedule, curve: MemoryCurve, isOpen: Bool
  ) throws -> Experiment {
    var fitted = self
    let network = try maps[0].network.rescheduled(schedule)
    for index in maps.indices { fitted.maps[index].network = network }
    fitted.memoryChoice = try fitted.memoryChoice(curve: curve, isOpen: isOpen)
    return fitted
  }

  /// The stages' times, measured in the least memory that an update takes.
  func measuredCosts(budget: Int = .max, isOpen: Bool = false) throws -> [StageCost] {
    let guessed = MemoryCurve(maps[0].network)
    guard let least = guessed.points.last else { return maps[0].network.stageCosts }
    var map = maps[0]
    map.network = try map.network.rescheduled(least.schedule)
    guard try leastEstimate(guessed, isOpen: isOpen).peakBytes <= budget else {
      throw try doesNotFit(budget, curve: guessed, isOpen: isOpen)
    }
    MatrixKernels.threads = configuration.kernelThreads
    var state = try initialState(replica: 0)
    var workspace = try map.makeWorkspace()
    return map.measuredCosts(&state.values, workspace: &workspace)
  }

  /// On one lane, with nothing kept that can be computed again.
  private func leastEstimate(_ curve: MemoryCurve, isOpen: Bool) throws -> MemoryEstimate {
    var least = self
    least.configuration.lanes = 1
    least.keepsInitialStates = false
    return try (0...least.plan().memorySlots).map { slots in
      least.memorySlots = slots
      return least.memoryEstimate(
        try least.plan(), lanes: 1, arenaCount: curve.points.last?.arenaCount ?? 0, isOpen: isOpen)
    }.min { $0.peakBytes < $1.peakBytes } ?? MemoryEstimate(terms: [])
  }

  private func doesNotFit(_ budget: Int, curve: MemoryCurve, isOpen: Bool) throws -> RunError {
    let estimate = try leastEstimate(curve, isOpen: isOpen)
    // From one start of the process to the next its size differs by a MiB or two.
    let least = estimate.peakBytes + Self.margin(estimate.peakBytes * 102 / 100) + (3 << 20)
    let terms = estimate.terms.sorted { $0.bytes > $1.bytes }.prefix(3)
      .map { "\($0.name) \(mebibytes($0.bytes))" }.joined(separator: ", ")
    return .impossible(
      """
      --memory-budget is \(mebibytes(configuration.memoryBudget ?? budget)), but the least this run can do with is \
      \(mebibytes(least)), on one lane with every activation computed again that can be; the largest parts: \(terms). Give \
      more, or take less with --batch-size, --evaluation-batch-size or a smaller --model
      """)
  }
}

/// A size for messages, rounded up.
private func mebibytes(_ bytes: Int) -> String { "\((bytes + (1 << 20) - 1) >> 20)MiB" }
