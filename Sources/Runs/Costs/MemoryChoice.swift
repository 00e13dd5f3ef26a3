import Formats
import Replay
import Tensors

/// The speed a run can have with different amounts of memory, and what was chosen for its budget.
public struct MemoryChoice: Codable, Sendable {
  public struct Point: Codable, Sendable {
    /// The predicted peak resident size of the process.
    public let peakBytes: Int
    /// The time of an update on one lane; nil if nothing was measured.
    public let secondsPerUpdate: Double?
    /// The multiply-adds of an update's products; nil if they are not known.
    public let multiplyAddsPerUpdate: Double?
    /// The number of forward passes of stages that an update runs more than once.
    public let repeatedPasses: Int
    /// The number of parts in which a batch is processed.
    public let microBatches: Int
    /// The bytes that an update reads from the file of its lane's state, and those that it writes; 0 if states are in memory.
    public let bytesReadPerUpdate: Int
    public let bytesWrittenPerUpdate: Int
  }

  public let lanes: Int
  /// The number of stages: layers, or groups of layers, whose activations are kept or recomputed together.
  public let stages: Int
  /// The reason why a batch can't be processed in parts, a sentence without its full stop; nil if it can.
  public let wholeBatchReason: String?
  public let chosen: Point
  /// The choices with as many lanes, from most memory to least.
  public let curve: [Point]
}

extension RunSpecification {
  /// The specification with the lanes, slots and memory level that take the least time within the memory budget;
  /// unchanged if there is no memory budget. None of them changes a bit of the results.
  /// - Parameters:
  ///   - folder: The folder for disk slots. The speed of its file system is measured if any are needed.
  ///   - measurement: How times are measured; nil to choose by guesses.
  ///   - isOpen: Whether the run's folder and database are open already.
  ///   - progress: What each seed has stored and observed already; empty for a new run.
  /// - Throws: `RunError.impossible`, naming the least sufficient budget, the largest parts and what would
  ///   help most, if nothing fits.
  public func fitted(
    in folder: String, measuring measurement: TimeMeasurement? = TimeMeasurement(), isOpen: Bool = false,
    progress: [ReplicaProgress] = []
  ) throws -> RunSpecification {
    FloatBuffer.returnFreedMemory()
    guard let limit = budgets.memory?.withinGroups.bytes, memoryChoice == nil else { return self }
    let whole = progress.isEmpty ? withOrdersToCome : self
    return try whole.fitted(
      to: limit - MemoryLimit.margin(limit), in: folder, measuring: measurement, isOpen: isOpen, progress: progress
    ).with(selection)
  }

  /// Fits the rest of the run again if its plan does not fit the lanes and slots chosen before.
  func refitted(in folder: String, progress: [ReplicaProgress]) throws -> RunSpecification {
    try with(budgets).fitted(in: folder, isOpen: true, progress: progress)
  }

  private func fitted(
    to budget: Int, in folder: String, measuring measurement: TimeMeasurement?, isOpen: Bool, progress: [ReplicaProgress]
  ) throws -> RunSpecification {
    func search(_ levels: [MemoryLevel<Problem>], _ disk: DiskTimes) -> BudgetSearch<Problem> {
      BudgetSearch(self, levels: levels, budget: budget, disk: disk, isOpen: isOpen, progress: progress)
    }
    let guessed = DiskTimes(guessedFor: stateBytes)
    let isNew = !isOpen && progress.isEmpty
    let guessedLevels = try problem.memoryLevels(measuring: nil, in: folder)
    // Looking for them has taken memory that a run need not have.
    FloatBuffer.returnFreedMemory()
    let least = try search(guessedLevels, guessed).least()
    guard least.neededBytes <= budget else { throw try doesNotFit(least, isNew: isNew, in: folder) }
    let levels = try measurement.map { measurement in
      // The least that a lane takes is free before anything else is allocated.
      let lane = guessedLevels.map { $0.memory.workspaceBytes + ($0.memory.paging?.residentBytes ?? stateBytes) }.min() ?? 0
      var within = measurement
      within.memory = max(lane, budget - ResidentMemory.currentBytes - Self.reserve)
      return try problem.memoryLevels(measuring: within, in: folder)
    } ?? guessedLevels
    FloatBuffer.returnFreedMemory()
    var best = try search(levels, guessed).best()
    // Without disk slots and with initial states that are kept, the speed of the disk does not matter.
    if let measurement, let choice = best, choice.plan.diskSlots > 0 || !choice.specification.resources.keepsInitialStates {
      measurement.report("states on their way to the disk and back")
      let measured = try with(choice.level.problem())
      best = try search(levels, try DiskTimes(measuring: measured, in: folder)).best()
    }
    // Planning itself takes memory and has taken it by now.
    FloatBuffer.returnFreedMemory()
    guard let best, ResidentMemory.peakBytes <= budget else {
      throw try doesNotFit(try search(levels, guessed).least(), isNew: isNew, in: folder)
    }
    var fitted = try best.specification.with(best.level.problem())
    fitted.memoryChoice = fitted.memoryChoice(levels, plan: best.plan, isMeasured: measurement != nil, isOpen: isOpen)
    fitted.measuredLevels = measurement == nil ? nil : levels
    return fitted
  }

  /// What a measurement leaves free of a memory budget, in bytes: for what it takes besides states and workspaces.
  private static var reserve: Int { 32 << 20 }

  /// The memory choices with the lanes of this specification, among which its own memory level is the chosen one.
  func memoryChoice(
    _ levels: [MemoryLevel<Problem>], plan: PlanFootprint, isMeasured: Bool, isOpen: Bool = false
  ) -> MemoryChoice {
    let process = ResidentMemory.Sizes()
    let points = levels.map { level in
      MemoryChoice.Point(
        peakBytes: memoryEstimate(
          plan, lanes: resources.lanes, memory: level.memory, isOpen: isOpen, process: process
        ).peakBytes, secondsPerUpdate: isMeasured ? level.secondsPerUpdate : nil, multiplyAddsPerUpdate: level.multiplyAdds,
        repeatedPasses: level.repeatedPasses, microBatches: level.microBatches,
        bytesReadPerUpdate: level.memory.paging?.bytesRead ?? 0, bytesWrittenPerUpdate: level.memory.paging?.bytesWritten ?? 0)
    }
    let index = levels.firstIndex { $0.memory == problem.laneMemory } ?? 0
    return MemoryChoice(
      lanes: resources.lanes, stages: problem.stageCount, wholeBatchReason: problem.wholeBatchReason, chosen: points[index], curve: points)
  }

  /// - Parameters:
  ///   - estimate: The least memory the run needs.
  ///   - isNew: Whether the run does not exist yet, so that its settings can be others.
  func doesNotFit(_ estimate: MemoryEstimate, isNew: Bool, in folder: String) throws -> RunError {
    let least = MemoryLimit.least(for: estimate.neededBytes)
    let remedies = isNew ? try remedies(below: least, in: folder).prefix(2).map { "with \($0.change) \(mebibytes($0.leastBytes)) would do" } : []
    let advice =
      if !isNew {
        "Give more"
      } else if remedies.isEmpty {
        "Give more, or take a smaller `model`"
      } else {
        "Give more, or take less: \(remedies.joined(separator: ", ")); a smaller `model` helps as well"
      }
    let limit = budgets.memory?.withinGroups ?? MemoryLimit(bytes: 0)
    let given = "`memory-budget` is \(mebibytes(limit.bytes))\(limit.origin == .given ? "" : ", \(limit.origin)")"
    if let shortage = try problem.diskShortage(in: folder) {
      let disk = DiskTimes(guessedFor: stateBytes)
      let paged = try BudgetSearch(self, levels: shortage.levels, budget: 0, disk: disk, isOpen: !isNew, progress: []).leastOnOneLane()
      if paged.neededBytes <= limit.bytes - MemoryLimit.margin(limit.bytes) {
        return .impossible(
          """
          \(given), which would do if training states could wait on disk, but they need \(mebibytes(shortage.neededBytes)) a lane and \
          the disk of \(folder) has \(mebibytes(shortage.freeBytes)) free. Make room there\(isNew ? ", take a folder on another disk" : ""), \
          or give \(mebibytes(least)), the least that this run can do with in memory alone
          """)
      }
    }
    return .impossible(
      """
      \(given), but the least this run can do with is \(mebibytes(least)), on one lane with everything computed again that can be; the \
      largest parts: \(estimate.words(of: 3)). \(advice)
      """)
  }
}
