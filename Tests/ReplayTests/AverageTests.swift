import Foundation
import Replay
import Tensors
import TestSupport
import Testing

/// Forward's iterate i is 1 at place i and 0 elsewhere, so the floats of an average are its weights. Behind them a state has a float that
/// is no number: any arithmetic would change its bits.
private struct UnitMap: UpdateMap {
  let numberCount: Int
  var stateCount: Int { numberCount + 1 }

  static func code(_ position: Int) -> UInt32 { 0x7f80_0001 + UInt32(position) }

  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    if position > 0 { state[position - 1] = 0 }
    state[position] = 1
    state[numberCount] = Float(bitPattern: Self.code(position))
  }
}

/// Keeps the floats of observed averages, by rule.
private final class WeightRecorder: IterateObserver {
  let weights = Lock<[Int: [Float]]>([:])

  func observe(_ iterates: [Iterate], replica: Int, state: borrowing TrainingState, workspace: inout Void) {}

  func observeAverage(_ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout Void) {
    let floats = (0..<state.values.count).map { state.values[$0] }
    weights.withLock { $0[index] = floats }
  }
}

/// The average by a rule, computed from its definition.
private func definition(_ rule: AverageRule, n: Int) -> [Double] {
  let raw = (1...n).map { i -> Double in
    switch rule {
    case .exponential(let decay): pow(decay, Double(n - i))
    case .polynomial(let exponent): pow(Double(i), exponent)
    case .uniform(let skipped): i > skipped ? 1 : 0
    }
  }
  let sum = raw.reduce(0, +)
  return raw.map { $0 / sum }
}

@Suite struct AverageTests {
  private static let rules: [AverageRule] = [
    .exponential(0.5), .exponential(0.99), .uniform, .polynomial(0.5), .polynomial(1), .polynomial(8), .polynomial(40),
    .uniform(after: 17), .uniform(after: 49),
  ]

  @Test(arguments: [1, 2, 3, 20, 50])
  func weightsAreThoseOfTheDefinition(n: Int) {
    for rule in Self.rules {
      if case .uniform(let skipped) = rule, skipped >= n { continue }
      let weights = AverageWeights(rule, n: n)
      let expected = definition(rule, n: n)
      for i in 1...n { #expect(abs(weights[i] - expected[i - 1]) < 1e-14, "\(rule) at \(n): \(i)") }
      #expect(weights[0] == 0 && weights[n + 1] == 0)
      #expect(abs((1...n).reduce(0) { $0 + weights[$1] } - 1) < 1e-13)
    }
    // The iterate itself.
    let iterate = AverageWeights(.uniform(after: n - 1), n: n)
    #expect((1...n).map { iterate[$0] } == (1...n).map { $0 == n ? 1 : 0 })
  }

  /// No power overflows, and the weights still sum to 1, on a path of a million states.
  @Test func longPathsKeepTheirWeights() {
    for rule in [AverageRule.polynomial(1000), .polynomial(8), .exponential(0.9999), .uniform] {
      let weights = AverageWeights(rule, n: 1_000_000)
      #expect(abs((1...1_000_000).reduce(0) { $0 + weights[$1] } - 1) < 1e-9, "\(rule)")
    }
  }

  @Test(arguments: [1, 2, 50])
  func runningAveragesHaveTheWeights(n: Int) async throws {
    var planner = ReplayPlanner(orders: [.forward], points: [n])
    planner.averageCount = Self.rules.count
    let recorder = WeightRecorder()
    let engine = ReplayEngine(
      maps: [UnitMap(numberCount: n)], initialStates: [.kept(try StoredState(count: n + 1))], observer: recorder,
      averages: Self.rules)
    _ = try await engine.run(try planner.plan(), lanes: 1)
    let found = recorder.weights.withLock { $0 }
    #expect(found.count == Self.rules.count)
    for (index, rule) in Self.rules.enumerated() {
      #expect(found[index]?[n].bitPattern == UnitMap.code(n - 1))
      if case .uniform(let skipped) = rule, skipped >= n {
        // Before the first state of its window, an average is the state itself.
        #expect(found[index]?[n - 1] == 1)
        continue
      }
      let expected = definition(rule, n: n)
      for i in 0..<n { #expect(abs(Double(found[index]?[i] ?? .nan) - expected[i]) < 1e-6, "\(rule): \(i)") }
    }
  }

  @Test func specifications() throws {
    for (text, rule) in [
      ("exponential:0.99", AverageRule.exponential(0.99)), ("uniform", .uniform), ("polynomial:8", .polynomial(8)),
      ("polynomial:0.5", .polynomial(0.5)),
    ] {
      #expect(try AverageRule(text) == rule)
      #expect(rule.description == text)
    }
    #expect(try AverageRule("polynomial:0") == .uniform)
    #expect(try AverageProfile("uniform:20").rule(endingAt: 50) == .uniform(after: 30))
    #expect(try AverageProfile("uniform:50").rule(endingAt: 50) == .uniform)
    #expect(try AverageProfile("uniform").rule(endingAt: 50) == .uniform)
    for bad in [
      "", "moon", "exponential", "exponential:", "exponential:0", "exponential:1", "exponential:nan", "exponential:-0.5",
      "polynomial", "polynomial:-1", "polynomial:inf", "polynomial:x", "uniform:5",
    ] {
      #expect(throws: AverageError.self, "\(bad)") { try AverageRule(bad) }
    }
    for bad in ["moon", "uniform:0", "uniform:x", "uniform:", "exponential:2"] {
      #expect(throws: AverageError.self, "\(bad)") { try AverageProfile(bad) }
    }
    #expect(throws: AverageError.tooLong(51, n: 50)) { try AverageProfile("uniform:51").rule(endingAt: 50) }
  }
}

@Suite struct AverageSynthesisTests {
  private func basis(_ rules: [AverageRule], at positions: [Int]) -> [AverageWeights] {
    positions.flatMap { n in [AverageWeights(.uniform(after: n - 1), n: n)] + rules.map { AverageWeights($0, n: n) } }
  }

  private func combination(_ synthesis: AverageSynthesis, _ basis: [AverageWeights], n: Int) -> [Double] {
    (1...n).map { i in zip(synthesis.coefficients, basis).reduce(0) { $0 + $1.0 * $1.1[i] } }
  }

  /// The reported distance is that of the weights, which sum to 1.
  private func check(_ synthesis: AverageSynthesis, _ wanted: AverageWeights, _ basis: [AverageWeights]) {
    let found = combination(synthesis, basis, n: wanted.n)
    let expected = (1...wanted.n).map { wanted[$0] }
    func norm(_ x: [Double]) -> Double { x.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    #expect(abs(norm(zip(found, expected).map { $0 - $1 }) / norm(expected) - synthesis.distance) < 1e-9)
    #expect(abs(synthesis.coefficients.reduce(0, +) - 1) < 1e-9)
    #expect(abs(found.reduce(0, +) - 1) < 1e-9)
  }

  @Test func averagesInTheSpanAreFound() {
    let basis = basis([.exponential(0.99), .polynomial(8), .uniform], at: [1000, 900, 600])
    for (place, member) in basis.enumerated() where member.n == 1000 {
      let synthesis = AverageSynthesis(member, from: basis)
      #expect(synthesis.coefficients == basis.indices.map { $0 == place ? 1 : 0 })
      #expect(synthesis.distance == 0)
    }
    // (n U_n − m U_m) / (n − m) is the mean of the last n − m.
    for length in [100, 400] {
      let wanted = AverageWeights(.uniform(after: 1000 - length), n: 1000)
      let synthesis = AverageSynthesis(wanted, from: basis)
      check(synthesis, wanted, basis)
      #expect(synthesis.distance < 1e-3)
    }
  }

  @Test func averagesOutsideTheSpanAreNearerWithMoreToMakeThemOf() {
    let few = basis([.exponential(0.99), .polynomial(8)], at: [1000])
    let more = basis([.exponential(0.99), .polynomial(8)], at: [1000, 900, 800, 700, 600, 500])
    for rule in [AverageRule.exponential(0.995), .polynomial(2), .uniform(after: 850), .uniform, .exponential(0.98)] {
      let wanted = AverageWeights(rule, n: 1000)
      let (far, near) = (AverageSynthesis(wanted, from: few), AverageSynthesis(wanted, from: more))
      check(far, wanted, few)
      check(near, wanted, more)
      #expect(near.distance < 0.7 * far.distance, "\(rule)")
    }
    let window = AverageWeights(.uniform(after: 990), n: 1000)
    #expect(AverageSynthesis(window, from: few).distance > 0.1)
  }

  /// No combination whose weights sum to 1 is nearer: steps that preserve the sum lead away.
  @Test func nothingIsNearer() {
    let basis = basis([.exponential(0.95), .polynomial(4)], at: [200, 150])
    let wanted = AverageWeights(.polynomial(10), n: 200)
    let synthesis = AverageSynthesis(wanted, from: basis)
    let best = combination(synthesis, basis, n: 200)
    let norm = (1...200).reduce(0) { $0 + wanted[$1] * wanted[$1] }
    for a in basis {
      for b in basis where a != b {
        let squares = (1...200).reduce(0.0) { sum, i in
          let difference = best[i - 1] + 0.01 * (a[i] - b[i]) - wanted[i]
          return sum + difference * difference
        }
        #expect((squares / norm).squareRoot() > synthesis.distance)
      }
    }
  }

  /// At n = 1 all averages are the iterate; at n = 2 there are at most two different ones.
  @Test func averagesThatDependOnEachOtherDoNoHarm() {
    for n in [1, 2] {
      let basis = basis([.exponential(0.99), .polynomial(8), .uniform], at: Array((1...n).reversed()))
      for rule in [AverageRule.exponential(0.5), .polynomial(3)] {
        let wanted = AverageWeights(rule, n: n)
        let synthesis = AverageSynthesis(wanted, from: basis)
        check(synthesis, wanted, basis)
        #expect(synthesis.distance < 1e-6)
        #expect(synthesis.coefficients.allSatisfy { abs($0) < 100 })
      }
    }
  }
}
