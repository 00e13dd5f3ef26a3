import Formats
import Foundation
import Replay
import Tensors

/// Observes a curve where an observation tells most about it for its cost, until its error is below a bound or a
/// budget is spent.
///
/// The next step follows from the observations and the budget alone, so an interrupted run continues where it
/// stopped.
package struct AdaptiveObservation {
  /// The last n.
  let steps: Int
  /// The wanted mean absolute error of the loss over all n.
  let error: Double
  /// The cost that may be spent for one seed, in updates; nil for no limit.
  let budget: Double?
  /// The cost of observing one n for one seed, in updates.
  let cost: (Int) -> Double
  /// The additional cost of each round, in updates: the head that a tail order's iterates share is replayed again.
  let roundCost: Double

  package struct Outcome {
    /// All n that are wanted so far, in ascending order.
    package var points: [Int]
    /// Whether nothing more is wanted.
    package var isComplete = false
    /// The error estimated from the observed points; infinite if they are too few.
    package var estimatedError = Double.infinity
    /// The error measured at new n that were chosen before they were observed; nil if there were none.
    package var checkedError: Double?
  }

  package init(steps: Int, error: Double, budget: Double?, roundCost: Double = 0, cost: @escaping (Int) -> Double) {
    self.steps = steps
    self.error = error
    self.budget = budget
    self.roundCost = roundCost
    self.cost = cost
  }

  /// The number of n that a check observes.
  private static let checkCount = 6

  /// A seed with a diverged iterate among the points so far says nothing more about where to look. If no seed is left, nothing more
  /// is wanted.
  /// - Parameter losses: The observed losses by n, one dictionary per seed; NaN where an iterate has diverged.
  package func outcome(losses: [[Int: Double]]) -> Outcome {
    func isObserved(_ points: [Int]) -> Bool { points.allSatisfy { n in losses.allSatisfy { $0[n] != nil } } }
    func finite(_ points: [Int]) -> [[Int: Double]] { losses.filter { losses in points.allSatisfy { losses[$0]?.isFinite == true } } }
    var outcome = Outcome(points: beginning())
    var rounds = 1
    // The factor by which checks found the estimate to be too small.
    var shortfall = 1.0
    var checks = 0
    while true {
      guard isObserved(outcome.points) else { return outcome }
      let losses = finite(outcome.points)
      guard !losses.isEmpty else {
        outcome.isComplete = true
        return outcome
      }
      let known = losses.map { losses in Curve(outcome.points.map { ($0, losses[$0] ?? .nan) }) }
      let refiner = ObservationRefiner(curves: known)
      outcome.estimatedError = shortfall * refiner.error
      let isKnown = outcome.estimatedError <= error
      // A budget may be spent before the error is reached, so the estimate is checked once half of the budget is
      // spent.
      let checked = checkPoints(round: checks, besides: outcome.points)
      let isHalfSpent = budget.map { spent(on: outcome.points, rounds: rounds) > $0 / 2 } ?? false
      let isChecked = isKnown || checks == 0 && isHalfSpent && !checked.isEmpty
      // If rounds have a cost of their own, there should be few of them.
      let share = roundCost > 0 ? outcome.points.count : max(2, outcome.points.count / 4)
      let wanted = isChecked ? checked : Array(refiner.next(cost: cost).prefix(share))
      rounds += 1
      let affordable = affordable(wanted, besides: outcome.points, rounds: rounds)
      // Rounds of a few points leave lanes idle, so a small rest of the budget is not spent.
      let isAllButSpent = budget.map { $0 - spent(on: outcome.points, rounds: rounds - 1) < 0.03 * $0 } ?? false
      guard !affordable.isEmpty, !isAllButSpent else {
        outcome.isComplete = true
        return outcome
      }
      outcome.points = (outcome.points + affordable).sorted()
      guard isObserved(outcome.points) else { return outcome }
      if isChecked {
        checks += 1
        let distances = zip(known, losses).flatMap { curve, losses in
          affordable.compactMap { n in losses[n].map { abs(curve.value(at: n) - $0) } }
        }.filter(\.isFinite)
        guard !distances.isEmpty else { continue }
        let found = mean(distances)
        outcome.checkedError = found
        if isKnown && found <= error {
          outcome.isComplete = true
          return outcome
        }
        // The error is compared with the one expected at just these n: cheap n are checked first, and curves bend
        // most where n is small.
        let expected = shortfall * mean(affordable.map(refiner.error(at:)))
        if expected > 0, expected.isFinite { shortfall *= max(1, found / expected) }
      }
    }
  }

  /// The first points: powers of two and the last n, as far as the budget allows; the last n first, then the
  /// cheapest.
  private func beginning() -> [Int] {
    let powers = sequence(first: 1) { 2 * $0 }.prefix { $0 < steps }
    return ([steps] + affordable(Array(powers), besides: [steps], rounds: 1)).sorted()
  }

  /// Points spread over the whole curve, different ones in each round, and at first in the middle of equal stretches.
  private func checkPoints(round: Int, besides observed: [Int]) -> [Int] {
    let shift = (0.5 + Double(round) * 0.618_033_988_749_894_9).truncatingRemainder(dividingBy: 1)
    let taken = Set(observed)
    return Set((0..<Self.checkCount).map { 1 + Int((Double($0) + shift) / Double(Self.checkCount) * Double(steps)) })
      .filter { $0 < steps && !taken.contains($0) }.sorted()
  }

  private func spent(on points: [Int], rounds: Int) -> Double {
    points.reduce(Double(rounds) * roundCost) { $0 + cost($1) }
  }

  private func affordable(_ wanted: [Int], besides observed: [Int], rounds: Int) -> [Int] {
    guard let budget else { return wanted }
    var left = budget - spent(on: observed, rounds: rounds)
    return wanted.filter { n in
      guard cost(n) <= left else { return false }
      left -= cost(n)
      return true
    }
  }
}
