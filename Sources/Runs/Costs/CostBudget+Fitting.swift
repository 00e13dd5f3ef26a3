import Formats
import Replay
import Tensors

extension RunSpecification {
  /// The specification with its cost budget converted to updates, and with the number of lanes that does most updates
  /// in a given time.
  /// - Parameters:
  ///   - times: The times of a long update, which is not measured again; nil to measure updates.
  ///   - isMeasured: Whether anything may be measured.
  /// - Throws: `RunError.impossible` if not even observing the last iterates fits the budget, `RunError.usage` if it is a time and
  ///   nothing may be measured.
  func withinCostBudget(_ times: LongUpdate<Problem>? = nil, isMeasured: Bool = true) throws -> RunSpecification {
    guard let budget = workload.costBudget else { return self }
    guard workload.orders.contains(where: workload.isAdaptive) else {
      throw RunError.usage("`cost-budget` \(budget) decides when iterates are observed, but every `order` has a schedule of its own")
    }
    var within = self
    if budget.updates == nil {
      guard isMeasured else {
        throw RunError.usage(
          "`cost-budget` \(budget) is a time, and nothing is measured that would tell how many updates it has room for; give it in updates")
      }
      // The memory budget has room for no more lanes than the run was given.
      let rates = try Calibration.rates(self, lanes: resources.lanes, times)
      if memoryChoice == nil, let best = rates.max(by: { $0.throughput < $1.throughput }) { within.resources.lanes = best.lanes }
      within = within.with(budget.calibrated(rates, lanes: within.resources.lanes))
    }
    let evaluations = try within.adapted(to: [], diverged: []).specification.withOrdersToCome.plan().gradientEvaluations
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
