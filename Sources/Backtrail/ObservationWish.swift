import Replay
import Storage

/// An order and the schedule of its observations, read.
struct ObservationWish: Sendable {
  enum Order: Sendable {
    case fixed(CompositionOrder)
    /// `tail:auto` or `splice:auto`.
    case automatic(TailFamily)
  }

  let order: Order
  let schedule: EvaluationSchedule
  /// The observed n of a schedule that is not automatic; those an automatic one begins with.
  let points: [Int]

  init(_ request: OrderRequest, steps: Int, orderTexts: [String: String]) throws {
    order = try request.automaticFamily.map(Order.automatic)
      ?? .fixed(CompositionOrder(reading: request.order, texts: orderTexts))
    schedule = try EvaluationSchedule(request.schedule)
    points = try schedule.points(steps: steps)
  }
}

/// What an automatic order or schedule came to.
public struct AdaptiveFinding: Codable, Sendable {
  /// As it was asked for, such as `tail:auto` or `backward`.
  public let order: String
  /// How many n its curve is observed at.
  public internal(set) var observed = 0
  /// The order that was observed instead of backward, where a cost budget has no room for that.
  public var approximation: String?
  /// The mean absolute error of its test loss over all n, its observations joined by lines in log n, as they tell it; nil where
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
  /// How much doubling that τ (or half of it, where the search was cut short) changed the test loss, over the compared n and seeds.
  public var tailChange: Estimate?
  /// |test loss − exact backward's| at those n where that was affordable, which `exactPoints` names.
  public var tailError: Estimate?
  public var exactPoints: [Int]?
}

extension Experiment {
  /// Whether what is observed depends on what is found.
  public var isAdaptive: Bool {
    wishes.contains { wish in
      if case .automatic = wish.order { true } else { wish.isAdaptive }
    }
  }

  /// With the orders that are observed where others turn out to be, the last n at least, and so are not among `orders` yet.
  var withOrdersToCome: Experiment {
    var whole = self
    for (place, wish) in wishes.enumerated() {
      guard case .fixed(let order) = wish.order, order != .backward, !orders.contains(order) else { continue }
      whole.orders.insert(order, at: min(place, whole.orders.count))
      whole.points.insert([configuration.steps], at: min(place, whole.points.count))
    }
    return whole
  }

  /// The experiment with the orders and points its automatic orders and schedules ask for, as far as `observations` decide
  /// them.
  /// - Returns: also what was found so far, and whether nothing more will be asked for once this is observed.
  func adapted(
    to observations: [Observation]
  ) -> (experiment: Experiment, findings: [AdaptiveFinding], isComplete: Bool) {
    // Where nothing depends on what is found, the points, which may be millions, are those of the schedules.
    if !isAdaptive, Set(askedOrders).count == wishes.count {
      var fixed = self
      (fixed.orders, fixed.points) = (askedOrders, wishes.map(\.points))
      return (fixed, [], true)
    }
    var requests = ObservationRequests(self, observations)
    for wish in wishes {
      switch wish.order {
      case .fixed(let order) where !wish.isAdaptive: requests.add(order, wish.points)
      case .fixed where !requests.choosesPoints(wish): break
      default: requests.add(wish)
      }
    }
    // Orders whose iterates all lie on one path are observed where the others are, and so not before that is known: walking
    // the path again for every new n would cost its length each time.
    for case (.fixed(let order), let wish) in wishes.map({ ($0.order, $0) })
    where requests.isComplete && wish.isAdaptive && !requests.choosesPoints(wish) {
      requests.add(order, requests.chosenPoints)
    }
    var adapted = self
    (adapted.orders, adapted.points) = requests.inOrder(of: wishes)
    return (adapted, requests.findings, requests.isComplete)
  }
}

extension ObservationWish {
  var isAdaptive: Bool {
    if case .automatic = schedule { true } else { false }
  }
}
