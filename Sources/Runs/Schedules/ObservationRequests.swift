import Formats
import Replay
import Tensors

/// Collects the iterates that automatic orders and schedules ask for.
struct ObservationRequests {
  private let workload: Workload
  private let lanes: Int
  private let steps: Int
  /// The observed losses by n, for each order and each seed; NaN where an iterate has diverged.
  private let losses: [CompositionOrder: [[Int: Double]]]
  private var points: [CompositionOrder: Set<Int>] = [:]
  /// The orders in the sequence in which they were asked for.
  private var orders: [CompositionOrder] = []
  private(set) var findings: [AdaptiveFinding] = []
  private(set) var isComplete = true
  /// The n that automatic schedules have chosen.
  private(set) var chosenPoints: [Int] = []

  /// - Parameter lanes: The number of lanes that a cost budget given as a time is spent on.
  init(_ workload: Workload, _ observations: [Observation], diverged: [DivergedIterate], lanes: Int) {
    self.workload = workload
    self.lanes = lanes
    steps = workload.steps
    let seeds = workload.seeds
    var losses: [CompositionOrder: [[Int: Double]]] = [:]
    func add(_ loss: Double, seed: Int, _ series: Series, _ n: Int) {
      guard seeds.contains(seed), let order = series.order else { return }
      losses[order, default: Array(repeating: [:], count: seeds.count)][seed - seeds.lowerBound][n] = loss
    }
    for row in observations { add(row.measurements.loss, seed: row.seed, row.series, row.n) }
    for row in diverged { add(.nan, seed: row.seed, row.series, row.n) }
    self.losses = losses
  }

  /// Whether all iterates of the order lie on one path, each on the way to the next.
  func isOnePath(_ order: CompositionOrder) -> Bool {
    let (half, whole) = (max(1, steps / 2), ReplayPlanner.gradientEvaluations(of: order, points: [steps]))
    return ReplayPlanner.gradientEvaluations(of: order, points: [half, steps]) == whole
  }

  /// Whether an order's schedule is automatic and chooses its own n. Orders on one path are observed where the others
  /// are, unless there are no others.
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

  /// Adds what an order asks for so far.
  /// - Parameter points: The observed n of a schedule that is not automatic.
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

  /// Adds the points of one order, whether they are chosen or given.
  /// - Parameter spent: The part of its budget, in updates, that the search for the order has taken.
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
      // Every round replays the whole path, and measures averages too. An n at no cost would be worth observing for
      // any error, so there is a least cost.
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

  /// The order and points that stand for exact backward if the budget has no room for its iterates at N and the
  /// powers of two below, some 2N updates: a splice with the longest τ the budget allows, at the same n. From 2N on,
  /// exact iterates at few n have a smaller error than splices or tails at many (Docs/TradeOffs.md).
  private func substitute(_ budget: Double?) -> (CompositionOrder, [Int])? {
    guard let budget, let points = try? EvaluationSchedule.automatic(error: 0).points(steps: steps) else { return nil }
    let charge = (workload.costBudget?.observationCharge ?? 0) * (1 + sharedObservations)
    guard budget < Double(points.reduce(0, +)) + charge * Double(points.count) else { return nil }
    let left = budget - charge * Double(points.count)
    // The head of a splice is forward's own path, which is replayed anyway if forward is asked for.
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

  /// One lane alone replays a path, so for a budget given as a time an update on it counts as much as one on each
  /// lane.
  private var pathWeight: Double {
    workload.costBudget?.seconds == nil ? 1 : Double(lanes)
  }

  /// The observations that orders on one path add to each n that an automatic schedule chooses: its share of them.
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

  /// The cost in updates that one automatic schedule may have for one seed; nil for no limit.
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

  /// The selection so far: first the orders as they were asked for, then those that a search added.
  var selection: IterateSelection {
    let asked = workload.askedOrders
    let sorted = asked.filter { points[$0] != nil } + orders.filter { !asked.contains($0) }
    return IterateSelection(sorted, sorted.map { points[$0, default: []].sorted() })
  }
}

extension CompositionOrder {
  /// The number of the n-th iterate's updates that no other iterate shares.
  fileprivate func ownLength(_ n: Int) -> Int {
    switch self {
    case .tail(let size), .splice(let size), .window(let size): min(n, size)
    default: n
    }
  }
}
