import Formats
import Replay
import Tensors

/// An order and when its iterates are observed: `tail:50`, or `tail:50@every:20` with a schedule of its own.
public struct ObservedOrder: Hashable, Sendable {
  public enum Choice: Hashable, Sendable {
    case fixed(CompositionOrder)
    /// `tail:auto` or `splice:auto`, which find a τ.
    case automatic(TailFamily)
  }

  public let choice: Choice
  /// Nil for the workload's.
  public let ownSchedule: EvaluationSchedule?

  public init(_ order: CompositionOrder, observing schedule: EvaluationSchedule? = nil) {
    choice = .fixed(order)
    ownSchedule = schedule
  }

  /// An order of a family whose τ is looked for.
  public init(_ family: TailFamily, observing schedule: EvaluationSchedule? = nil) {
    choice = .automatic(family)
    ownSchedule = schedule
  }

  /// Reads a specification.
  /// - Parameters:
  ///   - specification: such as `tail:50@every:20`.
  ///   - texts: what files of orders `file:PATH` hold, by path.
  public init(_ specification: String, texts: [String: String] = [:]) throws {
    let (order, schedule) = Self.parts(of: specification)
    ownSchedule = try schedule.map { try EvaluationSchedule($0) }
    if let family = TailFamily.allCases.first(where: { order == $0.automaticOrder }) {
      choice = .automatic(family)
    } else {
      choice = .fixed(try CompositionOrder(order, texts: texts))
    }
  }

  /// The specification of the order, and of its own schedule where it has one.
  package static func parts(of specification: String) -> (order: String, schedule: String?) {
    if OrderFile.path(in: specification) != nil {
      // What follows an @ in a file's name need not be a schedule.
      guard let at = specification.lastIndex(of: "@") else { return (specification, nil) }
      let end = String(specification[specification.index(after: at)...])
      let isSchedule = (try? EvaluationSchedule(end)) != nil
      return isSchedule ? (String(specification[..<at]), end) : (specification, nil)
    }
    let parts = specification.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    return (parts[0], parts.count > 1 ? parts[1] : nil)
  }

  /// The order; nil where its τ is looked for.
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
  /// The specification that gives it.
  public var description: String { orderName + (ownSchedule.map { "@\($0)" } ?? "") }
}

/// What an automatic order or schedule came to.
public struct AdaptiveFinding: Codable, Sendable {
  /// As it was asked for, such as `tail:auto` or `backward`.
  public let order: String
  /// How many n its curve is observed at.
  public internal(set) var observed = 0
  /// The order that was observed instead of backward, where a cost budget has no room for that.
  public var approximation: String?
  /// The mean absolute error of its loss over all n, its observations joined by lines in log n, as they tell it; nil where
  /// they are too few, or the schedule is fixed.
  public var estimatedError: Double?
  /// The same, as n showed it that were chosen before they were looked at.
  public var checkedError: Double?
  /// Whether it stopped because the cost budget was spent.
  public var isBudgetSpent = false
  /// Of `tail:auto` and `splice:auto`: the τ it settled on; N or more means exact backward.
  public var tail: Int?
  /// Whether the cost budget ended the search for τ.
  public var isSearchCutShort = false
  /// How much doubling that τ (or half of it, where the search was cut short) changed the loss, over the compared n and seeds.
  public var tailChange: Estimate?
  /// |loss − exact backward's| at those n where that was affordable, which `exactPoints` names.
  public var tailError: Estimate?
  public var exactPoints: [Int]?

  init(order: String) { self.order = order }
}
