import Formats
import Replay
import Tensors

/// A changed setting, with the least budget that a run could then do with.
struct MemoryRemedy {
  /// The setting in backquotes and its value, such as average in backquotes and then none.
  let change: String
  /// The least budget in bytes.
  let leastBytes: Int
}

extension RunSpecification {
  /// Settings of a new run whose change lets it do with less memory, sorted by how much they save.
  ///
  /// Each is computed as the least budget itself is: on one lane, with disk slots, and with everything computed again that can
  /// be. So fewer lanes are no remedy, and neither is what only decides how many examples are measured, not how many at once.
  /// - Parameters:
  ///   - least: The least budget without a change, in bytes.
  ///   - folder: Where states can wait that are not in memory.
  func remedies(below least: Int, in folder: String) throws -> [MemoryRemedy] {
    let levels = try problem.memoryLevels(measuring: nil, in: folder)
    var found: [MemoryRemedy] = []
    func add(_ change: String, _ varied: RunSpecification, _ levels: [MemoryLevel<Problem>]) throws {
      FloatBuffer.returnFreedMemory()
      let search = BudgetSearch(varied, levels: levels, budget: 0, disk: DiskTimes(guessedFor: stateBytes), isOpen: false, progress: [])
      found.append(MemoryRemedy(change: change, leastBytes: MemoryLimit.least(for: try search.leastOnOneLane().neededBytes)))
    }
    if !workload.averages.isEmpty { try add("`average` none", with(workload.withoutAverages()), levels) }
    if budgets.checkpoints.interval != nil, budgets.checkpoints.chainLength > 0 {
      var varied = budgets
      varied.checkpoints.chainLength = 0
      try add("`checkpoint-chain` 0", with(varied), levels)
    }
    for variation in try problem.variationsWithLessMemory() {
      try add(variation.change, with(variation.problem), variation.problem.memoryLevels(measuring: nil, in: folder))
    }
    return found.filter { $0.leastBytes <= least - (1 << 20) }.sorted { $0.leastBytes < $1.leastBytes }
  }
}
