import Formats
import Replay
import Tensors

/// Families of orders that end with the first τ batches reversed, for any τ.
public enum TailFamily: String, CaseIterable, Sendable {
  case tail
  case splice

  /// The specification that leaves τ to the run.
  var automaticOrder: String { "\(rawValue):auto" }

  func order(_ size: Int) -> CompositionOrder {
    switch self {
    case .tail: .tail(size)
    case .splice: .splice(size)
    }
  }
}

/// Determines the τ of a tail order: it doubles τ until doubling changes the loss by less than a tolerance, as Propp
/// and Wilson (1996, "Exact sampling with coupled Markov chains") double how far back they begin.
///
/// τ and 2τ are compared at a few n spread over the run. This yields a change, not an error: the error is measured
/// against exact backward at those of the n that together cost no more than the search.
struct TailSearch {
  let family: TailFamily
  let steps: Int
  let tolerance: Double
  /// The updates that the search and the tail's observations may take; no error is measured beyond it.
  let budget: Double

  struct Outcome {
    /// The iterates that are wanted so far.
    var requests: [(CompositionOrder, [Int])] = []
    /// The τ settled on, or N if no smaller τ suffices; nil while it is not known.
    var tail: Int?
    var change: Estimate?
    var error: Estimate?
    var exactPoints: [Int]?
    /// Whether the budget ended the search before doubling τ changed little.
    var isCutShort = false
    /// The updates spent on the whole search.
    var spent = 0.0
    var isComplete = false
  }

  private static let pilotCount = 8
  private static let first = 16

  private var pilots: [Int] {
    Set((1...Self.pilotCount).map { max(1, steps * $0 / Self.pilotCount) }).sorted()
  }

  /// - Parameter losses: The losses of an order by n, one dictionary per seed; NaN where an iterate has diverged, which is compared
  ///   with nothing.
  func outcome(losses: (CompositionOrder) -> [[Int: Double]]) -> Outcome {
    var outcome = Outcome()
    var spent = 0
    var tail = Self.first
    var before: CompositionOrder?
    while tail < steps {
      // Up to n = τ a tail order is the backward order itself.
      let order = family.order(tail)
      let compared = pilots.filter { $0 > tail }
      let cost = ReplayPlanner.gradientEvaluations(of: order, points: compared)
      // The order settled on needs its head and its last iterate besides.
      if before != nil, Double(spent + cost + steps + tail / 2) > budget {
        outcome.tail = tail / 2
        outcome.spent = Double(spent)
        outcome.isCutShort = true
        outcome.isComplete = true
        return outcome
      }
      outcome.requests.append((order, compared))
      spent += cost
      if let before {
        let earlier = losses(before), later = losses(order)
        let changes = zip(earlier, later).flatMap { earlier, later in
          compared.compactMap { n in earlier[n].flatMap { value in later[n].map { abs($0 - value) } } }
        }
        guard changes.count == compared.count * earlier.count else { return outcome }
        let finite = changes.filter(\.isFinite)
        let change = finite.isEmpty ? nil : Estimate(finite)
        outcome.change = change
        if finite.count > 1, let change, change.interval.upperBound < tolerance {
          outcome.tail = tail / 2
          measureError(of: before, size: tail / 2, spent: spent, losses: losses, &outcome)
          return outcome
        }
      }
      before = order
      tail *= 2
    }
    outcome.tail = steps
    outcome.spent = Double(spent)
    outcome.isComplete = true
    return outcome
  }

  /// Measures the error against exact backward, at n that together cost no more than was spent on the search.
  private func measureError(
    of order: CompositionOrder, size: Int, spent: Int, losses: (CompositionOrder) -> [[Int: Double]], _ outcome: inout Outcome
  ) {
    // The head and the last iterate are needed in any case.
    var left = min(Double(spent), budget - Double(spent + steps + size))
    let affordable = pilots.filter { n in
      guard n > size, Double(n) <= left else { return false }
      left -= Double(n)
      return true
    }
    outcome.requests.append((.backward, affordable))
    outcome.exactPoints = affordable
    outcome.spent = Double(spent + affordable.reduce(0, +))
    let exact = losses(.backward), own = losses(order)
    let errors = zip(exact, own).flatMap { exact, own in
      affordable.compactMap { n in exact[n].flatMap { value in own[n].map { abs($0 - value) } } }
    }
    guard errors.count == affordable.count * exact.count else { return }
    outcome.isComplete = true
    let finite = errors.filter(\.isFinite)
    if !finite.isEmpty { outcome.error = Estimate(finite) }
  }
}
