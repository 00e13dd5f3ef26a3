import Backtrail
import Foundation
import TestSupport
import Testing

/// Observes known curves as a run would, round by round.
private func observe(
  _ observation: AdaptiveObservation, _ curves: [(Int) -> Double]
) -> (outcome: AdaptiveObservation.Outcome, rounds: Int) {
  var losses: [[Int: Double]] = curves.map { _ in [:] }
  for round in 1... {
    let outcome = observation.outcome(losses: losses)
    let missing = outcome.points.filter { losses[0][$0] == nil }
    if missing.isEmpty && outcome.isComplete { return (outcome, round) }
    for n in missing { for seed in curves.indices { losses[seed][n] = curves[seed](n) } }
  }
  fatalError("rounds never end")
}

/// A curve that is smooth in log n, with a bend whose place depends on the seed.
private func smooth(_ seed: Int) -> (Int) -> Double {
  { n in 0.3 + 2 / (1 + pow(Double(n) / (30 + Double(seed)), 0.9)) }
}

private func meanError(_ points: [Int], of curve: (Int) -> Double, steps: Int) -> Double {
  let known = Curve(points.map { ($0, curve($0)) })
  return (1...steps).reduce(0) { $0 + abs(known.value(at: $1) - curve($1)) } / Double(steps)
}

@Suite struct AdaptiveObservationTests {
  @Test(arguments: [0.01, 0.001, 0.0002]) func aSmoothCurveIsKnownAsWellAsItSays(error: Double) {
    let steps = 2000
    let curves = (0..<3).map(smooth)
    let (outcome, _) = observe(AdaptiveObservation(steps: steps, error: error, budget: nil) { Double($0) }, curves)
    #expect(outcome.estimatedError <= error)
    for curve in curves { #expect(meanError(outcome.points, of: curve, steps: steps) <= 1.5 * error) }
    // Observing every n alone would cost N(N+1)/2.
    #expect(outcome.points.reduce(0, +) < steps * (steps + 1) / 2 / 10)
  }

  @Test func smallerErrorsCostMore() {
    let counts = [0.02, 0.002, 0.0002].map { error in
      observe(AdaptiveObservation(steps: 2000, error: error, budget: nil) { Double($0) }, [smooth(0)]).outcome.points.count
    }
    #expect(counts == counts.sorted())
    #expect(counts[0] < counts[2])
  }

  @Test func aRoughCurveIsNotBelieved() {
    var random = SplitMix(state: 4)
    let noise = (0...3000).map { _ in Double(random.next() % 1000) / 1000 - 0.5 }
    let curve: (Int) -> Double = { 0.5 + 0.2 * noise[$0] }
    let (outcome, _) = observe(AdaptiveObservation(steps: 3000, error: 0.01, budget: 200_000) { Double($0) }, [curve])
    // The mean distance of such noise to lines through it is about 0.06, so no number of points below N reaches 0.01.
    #expect(outcome.estimatedError > 0.03)
    #expect((outcome.checkedError ?? 0) > 0.03)
  }

  @Test(arguments: [3000.0, 20_000, 100_000]) func aBudgetIsKeptAndUsed(budget: Double) {
    let (outcome, _) = observe(AdaptiveObservation(steps: 1000, error: 0, budget: budget) { Double($0) }, [smooth(0)])
    let spent = Double(outcome.points.reduce(0, +))
    #expect(spent <= budget)
    #expect(spent >= 0.85 * budget)
  }

  @Test func roundsThatCostSomethingAreFew() {
    let cheap = observe(AdaptiveObservation(steps: 1000, error: 0.0005, budget: nil) { _ in 50 }, [smooth(0)]).rounds
    let dear = observe(AdaptiveObservation(steps: 1000, error: 0.0005, budget: nil, roundCost: 1000) { _ in 50 }, [smooth(0)]).rounds
    #expect(dear < cheap)
    let (outcome, rounds) = observe(
      AdaptiveObservation(steps: 1000, error: 0, budget: 10_000, roundCost: 1000) { _ in 50 }, [smooth(0)])
    #expect(outcome.points.count * 50 + (rounds - 1) * 1000 <= 10_000)
  }
}
