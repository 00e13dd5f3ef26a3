import Formats
import Replay
import Tensors

/// Collects what automatic orders and schedules ask for.
struct ObservationRequests {
  private let workload: Workload
  private let lanes: Int
  private let steps: Int
  /// By order, then by seed: losses by n.
  private let losses: [CompositionOrder: [[Int: Double]]]
  private var points: [CompositionOrder: Set<Int>] = [:]
  /// In the order they were asked for.
  private var orders: [CompositionOrder] = []
  private(set) var findings: [AdaptiveFinding] = []
  private(set) var isComplete = true
  /// The n that automatic schedules chose.
  private(set) var chosenPoints: [Int] = []

  /// - Parameter lanes: how many a time that is a cost budget is spent on.
  init(_ workload: Workload, _ observations: [Observation], lanes: Int) {
    self.workload = workload
    self.lanes = lanes
    steps = workload.steps
    let seeds = workload.seeds
    var losses: [CompositionOrder: [[Int: Double]]] = [:]
    for observation in observations where seeds.contains(observation.seed) {
      guard let order = observation.series.order else { continue }
      losses[order, default: Array(repeating: [:], count: seeds.count)][observation.seed - seeds.lowerBound][
        observation.n] = observation.measurements.loss
    }
    self.losses = losses
  }

  /// Whether each of the order's iterates lies on the way to the next.
  func isOnePath(_ order: CompositionOrder) -> Bool {
    let (half, whole) = (max(1, steps / 2), ReplayPlanner.gradientEvaluations(of: order, points: [steps]))
    return ReplayPlanner.gradientEvaluations(of: order, points: [half, steps]) == whole
  }

  /// Whether an order's schedule is automatic and follows no other: orders on one path are observed where others are.
  func choosesPoints(_ order: ObservedOrder) -> Bool {
    guard workload.isAdaptive(order) else { return false }
    return !followsOthers(order) || !workload.orders.contains { workload.isAdaptive($0) && !followsOthers($0) }
  }

  private func followsOthers(_ observed: ObservedOrder) -> Bool { observed.order.map(isOnePath) ?? false }

  private func losses(of order: CompositionOrder) -> [[Int: Double]] {
    losses[order] ?? Array(repeating: [:], count: workload.seeds.count)
  }

  mutating func add(_ order: CompositionOrder, _ n: [Int]) {
    guard !n.isEmpty else { return }
    if points[order] == nil { orders.append(order) }
    points[order, default: []].formUnion(n)
  }

  /// Adds what an order asks for by now.
  /// - Parameter points: the observed n of a schedule that is not automatic.
  mutating func add(_ observed: ObservedOrder, _ points: [Int]) {
    switch observed.choice {
    case .fixed(let order):
      observe(order, observed, points, finding: AdaptiveFinding(order: order.description))
    case .automatic(let family):
      let search = TailSearch(
        family: family, steps: steps, tolerance: workload.tolerance, budget: budget() ?? .infinity)
      let outcome = search.outcome(losses: losses(of:))
      for (order, n) in outcome.requests { add(order, n) }
      guard let tail = outcome.tail else {
        isComplete = false
        return
      }
      var finding = AdaptiveFinding(order: family.automaticOrder)
      finding.tail = tail
      finding.tailChange = outcome.change
      finding.isSearchCutShort = outcome.isCutShort
      finding.tailError = outcome.error
      finding.exactPoints = outcome.exactPoints
      if !outcome.isComplete { isComplete = false }
      observe(tail >= steps ? .backward : family.order(tail), observed, points, spent: outcome.spent, finding: finding)
    }
  }

  /// Adds the points of one order, chosen or given.
  /// - Parameter spent: what looking for it has taken of its budget.
  private mutating func observe(
    _ order: CompositionOrder, _ observed: ObservedOrder, _ points: [Int], spent: Double = 0, finding: AdaptiveFinding
  ) {
    var finding = finding
    guard case .automatic(let error) = workload.schedule(of: observed) else {
      add(order, points)
      finding.observed = points.count
      findings.append(finding)
      return
    }
    let budget = budget().map { $0 - spent }
    if order == .backward, let (substitute, points) = substitute(budget) {
      add(substitute, points)
      chosenPoints = Set(chosenPoints + points).sorted()
      finding.observed = points.count
      finding.approximation = substitute.description
      findings.append(finding)
      return
    }
    let charge = workload.costBudget?.observationCharge ?? 0
    let observation: AdaptiveObservation
    if isOnePath(order) {
      // Every round walks the path again, and looks at averages too. An n that cost nothing would be worth any error.
      let looks = order == .forward ? 1 + workload.averages.count : 1
      let cost = max(charge * Double(looks) * pathWeight, 1e-3)
      observation = AdaptiveObservation(
        steps: steps, error: error, budget: budget,
        roundCost: Double(ReplayPlanner.gradientEvaluations(of: order, points: [steps])) * pathWeight, cost: { _ in cost })
    } else {
      let observed = charge * (1 + sharedObservations)
      observation = AdaptiveObservation(
        steps: steps, error: error, budget: budget, roundCost: Double(order.ownLength(steps) < steps ? steps : 0),
        cost: { n in Double(order.ownLength(n)) + observed })
    }
    let outcome = observation.outcome(losses: losses(of: order))
    add(order, outcome.points)
    chosenPoints = Set(chosenPoints + outcome.points).sorted()
    if !outcome.isComplete { isComplete = false }
    finding.observed = outcome.points.count
    finding.estimatedError = outcome.estimatedError.isFinite ? outcome.estimatedError : nil
    finding.checkedError = outcome.checkedError
    finding.isBudgetSpent = outcome.isComplete && outcome.estimatedError > error && outcome.points.count < steps
    findings.append(finding)
  }

  /// What stands for exact backward where the budget has no room for its iterates at N and at powers of two below, some 2N updates:
  /// a splice with the longest τ it allows, at the same n. From 2N on, exact iterates at few n err less than splices or tails at
  /// many do (Docs/TradeOffs.md).
  private func substitute(_ budget: Double?) -> (CompositionOrder, [Int])? {
    guard let budget, let points = try? EvaluationSchedule.automatic(error: 0).points(steps: steps) else { return nil }
    let charge = (workload.costBudget?.observationCharge ?? 0) * (1 + sharedObservations)
    guard budget < Double(points.reduce(0, +)) + charge * Double(points.count) else { return nil }
    let left = budget - charge * Double(points.count)
    // Its head is forward's own path, and there already where forward is asked for.
    let isForwardWanted = workload.orders.contains { $0.order == .forward }
    let orders: [CompositionOrder] = isForwardWanted ? [.forward] : []
    func cost(_ size: Int) -> Double {
      let planned = [[steps]].prefix(orders.count) + [points]
      let evaluations = ReplayPlanner.gradientEvaluations(of: orders + [.splice(size)], points: Array(planned))
      return Double(evaluations - (isForwardWanted ? steps : 0))
    }
    var (fits, tooMuch) = (1, steps)
    while tooMuch - fits > 1 {
      let middle = (fits + tooMuch) / 2
      if cost(middle) <= left { fits = middle } else { tooMuch = middle }
    }
    return (.splice(fits), points)
  }

  /// One lane walks a path, so where time counts what it does weighs as much as so many lanes' work.
  private var pathWeight: Double {
    workload.costBudget?.seconds == nil ? 1 : Double(lanes)
  }

  /// How many observations orders on one path add to each n that an automatic schedule chooses, for its share of them.
  private var sharedObservations: Double {
    var paths = 0.0
    var sharing = 0.0
    for observed in workload.orders where workload.isAdaptive(observed) {
      guard let order = observed.order, isOnePath(order) else {
        sharing += 1
        continue
      }
      paths += 1 + (order == .forward ? Double(workload.averages.count) : 0)
    }
    return sharing > 0 ? paths / sharing * pathWeight : 0
  }

  /// What one automatic schedule may cost one seed; nil for any.
  private func budget() -> Double? {
    guard let budget = workload.costBudget?.updates else { return nil }
    let charge = workload.costBudget?.observationCharge ?? 0
    var fixed = 0.0
    var sharing = 0.0
    for (observed, points) in zip(workload.orders, workload.points) {
      if choosesPoints(observed) {
        sharing += 1
      } else if let order = observed.order {
        fixed += Double(ReplayPlanner.gradientEvaluations(of: order, points: points)) + charge * Double(points.count)
      } else {
        sharing += 1
      }
    }
    return (budget / Double(workload.seeds.count) - fixed) / sharing
  }

  /// What is wanted so far: orders as they were asked for, those that a search added last.
  var selection: IterateSelection {
    let asked = workload.askedOrders
    let sorted = asked.filter { points[$0] != nil } + orders.filter { !asked.contains($0) }
    return IterateSelection(sorted, sorted.map { points[$0, default: []].sorted() })
  }
}

extension CompositionOrder {
  /// How many of the n-th iterate's updates no other iterate shares.
  fileprivate func ownLength(_ n: Int) -> Int {
    switch self {
    case .tail(let size), .splice(let size), .window(let size): min(n, size)
    default: n
    }
  }
}
