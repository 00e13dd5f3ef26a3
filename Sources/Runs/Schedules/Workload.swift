import Formats
import Replay
import Tensors

/// The iterates that are observed: of which orders, at which n, for which seeds.
public struct Workload: Sendable {
  /// The orders in the sequence in which they were asked for.
  public let orders: [ObservedOrder]
  /// N, the last n: the iterates 1 to N can be observed.
  public let steps: Int
  /// The schedule of orders without one of their own.
  public let schedule: EvaluationSchedule
  public let seeds: Range<Int>
  /// The running averages of forward's iterates, observed together with them.
  public let averages: [AverageRule]
  /// The change of the loss below which doubling the τ of `tail:auto` or `splice:auto` ends the search.
  public let tolerance: Double
  /// The most the run may cost; nil for no limit.
  public internal(set) var costBudget: CostBudget?
  /// The loss above which an iterate has diverged; nil if only losses that are not finite show that.
  public let divergenceLimit: Double?
  /// The contents of order files, by path.
  package let orderTexts: [String: String]
  /// The observed n of each order whose schedule is not automatic, and the first n of automatic ones.
  let points: [[Int]]

  /// The most seeds of one run.
  static let mostSeeds = 10_000

  /// - Throws: `RunError.usage` where orders are missing or named twice, or a number is out of range; `ScheduleError` where a
  ///   schedule does not fit the steps.
  public init(
    orders: [ObservedOrder], steps: Int, observing schedule: EvaluationSchedule, seeds: Range<Int> = 0..<1,
    averages: [AverageRule] = [], tolerance: Double = 0.005, costBudget: CostBudget? = nil,
    divergenceLimit: Double? = nil, orderTexts: [String: String] = [:]
  ) throws {
    guard !orders.isEmpty else { throw RunError.usage("no composition order is given; add `order`, such as backward") }
    var names: Set<String> = []
    for order in orders where !names.insert(order.orderName).inserted {
      throw RunError.usage("`order` \(order.orderName) is given twice; give it once")
    }
    guard (1...BatchRun.largestBatch).contains(steps) else {
      throw RunError.usage("`steps` is \(steps), but must be a whole number from 1 to \(BatchRun.largestBatch)")
    }
    guard (1...Self.mostSeeds).contains(seeds.count), RowBounds.possibleSeeds.contains(seeds.lowerBound),
      RowBounds.possibleSeeds.contains(seeds.upperBound)
    else { throw RunError.usage("the seeds are \(seeds), but must be from 1 to \(Self.mostSeeds) whole numbers from 0 on") }
    guard tolerance.isFinite, tolerance > 0 else { throw RunError.usage("`tolerance` is \(tolerance), but must be a positive number") }
    if let limit = divergenceLimit, !limit.isFinite {
      throw RunError.usage("`divergence-limit` is \(limit), but must be a finite loss; leave it out for none")
    }
    guard Set(averages).count == averages.count else { throw RunError.usage("an `average` is given twice; give it once") }
    // A run is stored in the words of its specifications: what has none could not be opened again.
    var orderTexts = orderTexts
    for order in orders {
      if let schedule = order.ownSchedule { _ = try EvaluationSchedule(schedule.description) }
      guard case .listed(let listed)? = order.order else {
        _ = try ObservedOrder(order.orderName)
        continue
      }
      guard let path = OrderFile.path(in: listed.name) else {
        throw RunError.usage("the order '\(listed.name)' is a list of sequences, so its name must be file: and a path")
      }
      orderTexts[path] = orderTexts[path] ?? listed.text
    }
    for rule in averages { _ = try AverageRule(rule.description) }
    _ = try EvaluationSchedule(schedule.description)
    self.orders = orders
    self.steps = steps
    self.schedule = schedule
    self.seeds = seeds
    self.averages = averages
    self.tolerance = tolerance
    self.costBudget = costBudget
    self.divergenceLimit = divergenceLimit
    self.orderTexts = orderTexts
    points = try orders.map { try ($0.ownSchedule ?? schedule).points(steps: steps) }
  }

  /// The same workload with another number of steps.
  package func with(steps: Int) throws -> Workload { try with(steps: steps, averages: averages) }

  func withoutAverages() throws -> Workload { try with(steps: steps, averages: []) }

  private func with(steps: Int, averages: [AverageRule]) throws -> Workload {
    try Workload(
      orders: orders, steps: steps, observing: schedule, seeds: seeds, averages: averages, tolerance: tolerance,
      costBudget: costBudget, divergenceLimit: divergenceLimit, orderTexts: orderTexts)
  }

  /// Whether an iterate has diverged by what was measured of it: a value that is not finite, or a loss above the limit.
  func isDiverged(_ measurements: Measurements) -> Bool {
    !measurements.values.allSatisfy { abs($0) <= Metric.largestMagnitude } || measurements.loss > divergenceLimit ?? .infinity
  }

  func schedule(of order: ObservedOrder) -> EvaluationSchedule { order.ownSchedule ?? schedule }

  /// Whether the n at which an order is observed depend on earlier observations.
  func isAdaptive(_ order: ObservedOrder) -> Bool {
    if case .automatic = schedule(of: order) { true } else { false }
  }

  /// Whether the iterates to observe depend on earlier observations.
  public var isAdaptive: Bool { orders.contains { $0.order == nil || isAdaptive($0) } }

  /// The orders as they were asked for, without those whose τ is still to be determined.
  package var askedOrders: [CompositionOrder] { orders.compactMap(\.order) }

  /// The series of the running averages, in the order of the rules.
  public var averageSeries: [Series] { averages.map(Series.average) }

  /// Digests of the files that orders were read from, by path.
  var fileDigests: [String: Digest] { orderTexts.mapValues { Digest(of: Array($0.utf8).span.bytes) } }
}

/// The iterates that are observed, as far as they are known: of which orders, at which n.
public struct IterateSelection: Equatable, Sendable {
  public var orders: [CompositionOrder]
  /// The observed n of each order, in ascending order.
  public var points: [[Int]]

  public init(_ orders: [CompositionOrder] = [], _ points: [[Int]] = []) {
    self.orders = orders
    self.points = points
  }

  /// The observed n of an order; nil if it is not in the selection.
  public func points(of order: CompositionOrder) -> [Int]? { orders.firstIndex(of: order).map { points[$0] } }

  /// The observed iterates.
  var iterates: [Iterate] {
    zip(orders.indices, points).flatMap { order, points in points.map { Iterate(order: order, n: $0) } }
  }

  /// The orders, each with its observed n.
  package var curves: [(order: CompositionOrder, points: [Int])] { zip(orders, points).map { ($0, $1) } }
}
