import Formats
import Replay
import Tensors

/// An order and when its iterates are observed: `tail:50`, or `tail:50@every:20` with a schedule of its own.
public struct ObservedOrder: Hashable, Sendable {
  public enum Choice: Hashable, Sendable {
    case fixed(CompositionOrder)
    /// `tail:auto` or `splice:auto`, whose τ the run determines.
    case automatic(TailFamily)
  }

  public let choice: Choice
  /// The order's own schedule; nil if it follows the workload's.
  public let ownSchedule: EvaluationSchedule?

  public init(_ order: CompositionOrder, observing schedule: EvaluationSchedule? = nil) {
    choice = .fixed(order)
    ownSchedule = schedule
  }

  /// An order of a family whose τ the run determines.
  public init(_ family: TailFamily, observing schedule: EvaluationSchedule? = nil) {
    choice = .automatic(family)
    ownSchedule = schedule
  }

  /// Reads a specification.
  /// - Parameter texts: The contents of order files `file:PATH`, by path.
  public init(_ specification: String, texts: [String: String] = [:]) throws {
    let (order, schedule) = Self.parts(of: specification)
    ownSchedule = try schedule.map { try EvaluationSchedule($0) }
    if let family = TailFamily.allCases.first(where: { order == $0.automaticOrder }) {
      choice = .automatic(family)
    } else {
      choice = .fixed(try CompositionOrder(order, texts: texts))
    }
  }

  /// The specification of the order, and that of its own schedule if there is one.
  package static func parts(of specification: String) -> (order: String, schedule: String?) {
    if OrderFile.path(in: specification) != nil {
      // The part after an @ in a file name need not be a schedule.
      guard let at = specification.lastIndex(of: "@") else { return (specification, nil) }
      let end = String(specification[specification.index(after: at)...])
      let isSchedule = (try? EvaluationSchedule(end)) != nil
      return isSchedule ? (String(specification[..<at]), end) : (specification, nil)
    }
    let parts = specification.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    return (parts[0], parts.count > 1 ? parts[1] : nil)
  }

  /// The order; nil if its τ is still to be determined.
  public var order: CompositionOrder? {
    if case .fixed(let order) = choice { order } else { nil }
  }

  /// The specification of the order alone: `tail:50` or `tail:auto`.
  public var orderName: String {
    switch choice {
    case .fixed(let order): order.description
    case .automatic(let family): family.automaticOrder
    }
  }
}

extension ObservedOrder: CustomStringConvertible {
  /// The specification that this order is read from.
  public var description: String { orderName + (ownSchedule.map { "@\($0)" } ?? "") }
}

/// The result of an automatic order or schedule.
public struct AdaptiveFinding: Codable, Sendable {
  /// The order as it was asked for, such as `tail:auto` or `backward`.
  public let order: String
  /// The number of n at which its curve is observed.
  public internal(set) var observed = 0
  /// The order observed instead of backward, if the cost budget had no room for backward.
  public var approximation: String?
  /// The mean absolute error of the loss over all n when the curve is interpolated linearly in log n, estimated from
  /// the observations. Nil if they are too few, or if the schedule is fixed.
  public var estimatedError: Double?
  /// The same error, measured at new n that were chosen before they were observed.
  public var checkedError: Double?
  /// Whether it stopped because the cost budget was spent.
  public var isBudgetSpent = false
  /// The τ that `tail:auto` or `splice:auto` settled on; N or more means exact backward.
  public var tail: Int?
  /// Whether the cost budget ended the search for τ.
  public var isSearchCutShort = false
  /// The change of the loss when that τ (or half of it, if the search was cut short) is doubled, over the compared n
  /// and seeds.
  public var tailChange: Estimate?
  /// The absolute difference of the loss from exact backward's, at the n in `exactPoints`, where backward was
  /// affordable.
  public var tailError: Estimate?
  public var exactPoints: [Int]?

  init(order: String) { self.order = order }
}
