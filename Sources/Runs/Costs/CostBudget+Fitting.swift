import Formats
import Replay
import Tensors

extension RunSpecification {
  /// The specification with its cost budget converted to updates, and with the number of lanes that does most updates
  /// in a given time.
  /// - Throws: `RunError.impossible` if not even observing the last iterates fits the budget.
  func withinCostBudget() throws -> RunSpecification {
    guard let budget = workload.costBudget else { return self }
    guard workload.orders.contains(where: workload.isAdaptive) else {
      throw RunError.usage("`cost-budget` \(budget) decides when iterates are observed, but every `order` has a schedule of its own")
    }
    var within = self
    if budget.updates == nil {
      // The memory budget has room for no more lanes than the run was given.
      let rates = try Calibration.rates(self, lanes: resources.lanes)
      if memoryChoice == nil, let best = rates.max(by: { $0.throughput < $1.throughput }) { within.resources.lanes = best.lanes }
      within = within.with(budget.calibrated(rates, lanes: within.resources.lanes))
    }
    let evaluations = try within.adapted(to: []).specification.withOrdersToCome.plan().gradientEvaluations
    guard let updates = within.workload.costBudget?.updates, Double(evaluations) <= updates else {
      throw RunError.impossible(
        """
        `cost-budget` \(budget) is \(Int(min(within.workload.costBudget?.updates ?? 0, 1e18))) gradient evaluations, but the least \
        these orders need is \(evaluations); give more, or take fewer `steps`, `order` or `seeds`
        """)
    }
    return within
  }
}

extension Calibration.Rate {
  /// Updates per second of all lanes together.
  fileprivate var throughput: Double { Double(lanes) / secondsPerUpdate }
}
