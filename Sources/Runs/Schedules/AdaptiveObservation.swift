import Formats
import Foundation
import Replay
import Tensors

/// Observes a curve where that tells most about it for what it costs, until its error is below a bound or a budget is spent.
///
/// What it does next follows from what was observed and from the budget alone, so an interrupted run goes on where it was.
package struct AdaptiveObservation {
  /// The last n.
  let steps: Int
  /// The mean absolute error of the loss that is wanted, over all n.
  let error: Double
  /// What may be spent for one seed; nil for as much as it takes.
  let budget: Double?
  /// Of observing one n of one seed.
  let cost: (Int) -> Double
  /// What each round costs besides: the head that a tail order's iterates share is walked again.
  let roundCost: Double

  package struct Outcome {
    /// All n that are wanted so far, ascending.
    package var points: [Int]
    /// Whether nothing more is wanted.
    package var isComplete = false
    /// As the observed points tell it; infinite where they are too few.
    package var estimatedError = Double.infinity
    /// As new n showed it that were chosen before they were looked at; nil where none were.
    package var checkedError: Double?
  }

  package init(steps: Int, error: Double, budget: Double?, roundCost: Double = 0, cost: @escaping (Int) -> Double) {
    self.steps = steps
    self.error = error
    self.budget = budget
    self.roundCost = roundCost
    self.cost = cost
  }

  /// How many n a check looks at.
  private static let checkCount = 6

  /// - Parameter losses: what was observed, by n, of each seed.
  package func outcome(losses: [[Int: Double]]) -> Outcome {
    func isObserved(_ points: [Int]) -> Bool { points.allSatisfy { n in losses.allSatisfy { $0[n] != nil } } }
    func curves(_ points: [Int]) -> [Curve] {
      losses.map { losses in Curve(points.map { ($0, losses[$0] ?? .nan) }) }
    }
    var outcome = Outcome(points: beginning())
    var rounds = 1
    // What checks found the estimate to be short of.
    var shortfall = 1.0
    var checks = 0
    while true {
      guard isObserved(outcome.points) else { return outcome }
      let known = curves(outcome.points)
      let refiner = ObservationRefiner(curves: known)
      outcome.estimatedError = shortfall * refiner.error
      let isKnown = outcome.estimatedError <= error
      // A budget may be spent before the error is reached: half-way through, its estimate is checked.
      let checked = checkPoints(round: checks, besides: outcome.points)
      let isHalfSpent = budget.map { spent(on: outcome.points, rounds: rounds) > $0 / 2 } ?? false
      let isChecked = isKnown || checks == 0 && isHalfSpent && !checked.isEmpty
      // Where rounds cost something there should be few.
      let share = roundCost > 0 ? outcome.points.count : max(2, outcome.points.count / 4)
      let wanted = isChecked ? checked : Array(refiner.next(cost: cost).prefix(share))
      rounds += 1
      let affordable = affordable(wanted, besides: outcome.points, rounds: rounds)
      // Rounds of a few points leave lanes idle: what little is left of a budget is not worth them.
      let isAllButSpent = budget.map { $0 - spent(on: outcome.points, rounds: rounds - 1) < 0.03 * $0 } ?? false
      guard !affordable.isEmpty, !isAllButSpent else {
        outcome.isComplete = true
        return outcome
      }
      outcome.points = (outcome.points + affordable).sorted()
      guard isObserved(outcome.points) else { return outcome }
      if isChecked {
        checks += 1
        let found = mean(
          zip(known, losses).flatMap { curve, losses in affordable.map { abs(curve.value(at: $0) - (losses[$0] ?? .nan)) } })
        outcome.checkedError = found
        if isKnown && found <= error {
          outcome.isComplete = true
          return outcome
        }
        // Held against what was expected just there: cheap n are checked first, and curves bend most where n is small.
        let expected = shortfall * mean(affordable.map(refiner.error(at:)))
        if expected > 0, expected.isFinite { shortfall *= max(1, found / expected) }
      }
    }
  }

  /// Powers of two and the last n, as far as the budget allows: the last first, then the cheapest.
  private func beginning() -> [Int] {
    let powers = sequence(first: 1) { 2 * $0 }.prefix { $0 < steps }
    return ([steps] + affordable(Array(powers), besides: [steps], rounds: 1)).sorted()
  }

  /// n all along the curve, others each time, in the middle of their stretches at first.
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
