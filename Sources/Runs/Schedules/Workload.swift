import Formats
import Replay
import Tensors

/// Which iterates of which orders are observed, for which seeds.
public struct Workload: Sendable {
  /// In the order they were asked for.
  public let orders: [ObservedOrder]
  /// N: iterates 1 to N can be observed.
  public let steps: Int
  /// When iterates of orders without a schedule of their own are observed.
  public let schedule: EvaluationSchedule
  public let seeds: Range<Int>
  /// The running averages of forward's iterates, observed with them.
  public let averages: [AverageRule]
  /// How much doubling the τ of `tail:auto` or `splice:auto` may still change the loss.
  public let tolerance: Double
  /// What the run may cost; nil for any.
  public internal(set) var costBudget: CostBudget?
  /// What the files of orders hold, by path.
  package let orderTexts: [String: String]
  /// The observed n of each order whose schedule is not automatic; those an automatic one begins with.
  let points: [[Int]]

  /// - Throws: `RunError.usage` where orders are missing or named twice, or a number is out of range; `ScheduleError` where a
  ///   schedule does not fit the steps.
  public init(
    orders: [ObservedOrder], steps: Int, observing schedule: EvaluationSchedule, seeds: Range<Int> = 0..<1,
    averages: [AverageRule] = [], tolerance: Double = 0.005, costBudget: CostBudget? = nil, orderTexts: [String: String] = [:]
  ) throws {
    guard !orders.isEmpty else { throw RunError.usage("no composition order is given; add `order`, such as backward") }
    let names = orders.map(\.orderName)
    if let twice = names.indices.first(where: { names[..<$0].contains(names[$0]) }) {
      throw RunError.usage("`order` \(names[twice]) is given twice; give it once")
    }
    guard (1...BatchRun.largestBatch).contains(steps) else {
      throw RunError.usage("`steps` is \(steps), but must be a whole number from 1 to \(BatchRun.largestBatch)")
    }
    guard !seeds.isEmpty, RowBounds.possibleSeeds.contains(seeds.lowerBound), RowBounds.possibleSeeds.contains(seeds.upperBound)
    else { throw RunError.usage("the seeds are \(seeds), but must be one or more whole numbers from 0 on") }
    guard Set(averages).count == averages.count else { throw RunError.usage("an `average` is given twice; give it once") }
    self.orders = orders
    self.steps = steps
    self.schedule = schedule
    self.seeds = seeds
    self.averages = averages
    self.tolerance = tolerance
    self.costBudget = costBudget
    self.orderTexts = orderTexts
    points = try orders.map { try ($0.ownSchedule ?? schedule).points(steps: steps) }
  }

  /// The same of another number of steps.
  package func with(steps: Int) throws -> Workload {
    try Workload(
      orders: orders, steps: steps, observing: schedule, seeds: seeds, averages: averages, tolerance: tolerance,
      costBudget: costBudget, orderTexts: orderTexts)
  }

  func schedule(of order: ObservedOrder) -> EvaluationSchedule { order.ownSchedule ?? schedule }

  /// Whether when an order is observed depends on what is found.
  func isAdaptive(_ order: ObservedOrder) -> Bool {
    if case .automatic = schedule(of: order) { true } else { false }
  }

  /// Whether what is observed depends on what is found.
  public var isAdaptive: Bool { orders.contains { $0.order == nil || isAdaptive($0) } }

  /// Orders as they were asked for, those left out whose τ is looked for.
  package var askedOrders: [CompositionOrder] { orders.compactMap(\.order) }

  /// The series of the running averages, by rule.
  public var averageSeries: [Series] { averages.map(Series.average) }

  /// Digests of the files that orders were read from, by path.
  var fileDigests: [String: Digest] { orderTexts.mapValues { Digest(of: Array($0.utf8).span.bytes) } }
}

/// Which iterates of which orders are observed, as far as that is known by now.
public struct IterateSelection: Equatable, Sendable {
  public var orders: [CompositionOrder]
  /// The observed n of each order, ascending.
  public var points: [[Int]]

  public init(_ orders: [CompositionOrder] = [], _ points: [[Int]] = []) {
    self.orders = orders
    self.points = points
  }

  /// The observed n of an order; nil where it is not among them.
  public func points(of order: CompositionOrder) -> [Int]? { orders.firstIndex(of: order).map { points[$0] } }

  /// What is observed of each order alone.
  package var curves: [(order: CompositionOrder, points: [Int])] { zip(orders, points).map { ($0, $1) } }
}
