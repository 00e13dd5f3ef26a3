import Replay

/// What a run may cost: a time, or a number of gradient evaluations.
public struct CostBudget: Codable, Equatable, Sendable, CustomStringConvertible {
  public let description: String
  /// Nil for a number of gradient evaluations.
  public let seconds: Double?
  /// In updates, for all seeds. Of a time: measured when the run was made; nil before.
  public internal(set) var updates: Double?
  /// What an observation is charged, in updates: nothing where gradient evaluations are counted.
  public internal(set) var observationCharge: Double

  /// Reads `90s`, `5m`, `2h` or `20000`.
  init(_ text: String) throws(RunError) {
    description = text
    observationCharge = 0
    let units = ["s": 1.0, "m": 60.0, "h": 3600.0]
    let unit = text.last.flatMap { units[String($0)] }
    guard let number = Double(unit == nil ? text[...] : text.dropLast()), number > 0, number.isFinite else {
      throw .usage(
        "--cost-budget is '\(text)', but must be a time such as 90s, 5m or 2h, or a number of gradient evaluations")
    }
    seconds = unit.map { $0 * number }
    updates = unit == nil ? number : nil
  }

  /// With a time turned into updates on `lanes` lanes.
  func calibrated(_ rates: TrialRates, lanes: Int) -> CostBudget {
    guard let seconds, updates == nil else { return self }
    var calibrated = self
    calibrated.updates = seconds * Double(lanes) / rates.secondsPerUpdate
    calibrated.observationCharge = rates.secondsPerObservation / rates.secondsPerUpdate
    return calibrated
  }
}

extension Experiment {
  /// The experiment with its cost budget in updates: a time is turned into them by trial updates on all lanes.
  /// - Throws: `RunError.impossible` where not even the last iterates fit.
  public func withinCostBudget() throws -> Experiment {
    guard let budget = configuration.costBudget else { return self }
    guard wishes.contains(where: { $0.isAdaptive }) else {
      throw RunError.usage("--cost-budget \(budget) decides when iterates are observed, but every --order has a schedule of its own")
    }
    var within = self
    if budget.updates == nil {
      within.configuration.costBudget = budget.calibrated(try TrialRates(self), lanes: configuration.lanes)
    }
    let adapted = within.adapted(to: []).experiment
    let least = zip(adapted.orders, adapted.points).reduce(0) { sum, part in
      sum + ReplayPlanner.gradientEvaluations(of: part.0, points: part.1)
    } * maps.count
    guard let updates = within.configuration.costBudget?.updates, Double(least) <= updates else {
      throw RunError.impossible(
        """
        --cost-budget \(budget) is \(Int(within.configuration.costBudget?.updates ?? 0)) gradient evaluations, but the least \
        these orders need is \(least); give more, or take fewer --steps, --order or --seeds
        """)
    }
    return within
  }
}
