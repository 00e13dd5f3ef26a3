import Foundation
import Replay
import Runs
import Tensors

/// How far two orders of the same batches end from each other, by η: two permutations of one pass by η², two of them each followed by its
/// own reverse (paired reversal, arXiv 2604.00260) by η³, and the two orders of two updates by their Lie bracket. ``PathExpansion`` has
/// the derivation.
package struct OrderComparison {
  package static let formula = "θ ↦ θ − η ∇L_j(θ) in two orders of the same batches: regressions in the plane, batches of 4 from 32 examples"
  /// The batches of one pass.
  package static let passLengths = 3...8
  package static let usualPassLength = 4
  /// How many pairs of permutations every seed's batches are taken in.
  private static let pairCount = 4
  /// Iterates of listed orders: one for each of both sequences of all pairs.
  package static let iterateCount = 2 * pairCount

  /// What two sequences that are compared have in common, and so the power of η by which their ends differ.
  package enum Kind: String, CaseIterable {
    /// A pass in two random orders.
    case permuted
    /// The same, each followed by its reverse.
    case paired
    /// Two updates in either order, as g₁∘g₂ and g₂∘g₁.
    case bracket
  }

  package typealias Pair = (one: BatchSequence, other: BatchSequence)

  private let permutations: [(one: [Int], other: [Int])]

  /// - Parameters:
  ///   - passLength: The batches of one pass, one of `passLengths`.
  ///   - seed: What the permutations are drawn by. All seeds' batches are taken in the same permutations; they are independent, so no
  ///     permutation is like another to them.
  package init(passLength: Int, seed: Int) {
    let source = RandomSource(seed: UInt64(seed), purpose: .shuffling)
    var drawn = 0
    func permutation() -> [Int] {
      drawn += 1
      var batches = Array(1...passLength)
      for place in (1..<passLength).reversed() { batches.swapAt(place, source.index(below: place + 1, batch: drawn, example: place)) }
      return batches
    }
    permutations = (0..<Self.pairCount).map { _ in
      let one = permutation()
      var other = permutation()
      while other == one { other = permutation() }
      return (one, other)
    }
  }

  /// The sequences that are compared.
  package func pairs(_ kind: Kind) -> [Pair] {
    func sequence(_ batches: [Int]) -> BatchSequence { BatchSequence(batches.map { BatchRun($0, $0) }) }
    return switch kind {
    case .permuted: permutations.map { (sequence($0.one), sequence($0.other)) }
    case .paired: permutations.map { (sequence($0.one + $0.one.reversed()), sequence($0.other + $0.other.reversed())) }
    case .bracket: [(sequence([2, 1]), sequence([1, 2]))]
    }
  }

  package func claims(_ laboratory: Laboratory) async throws -> [Claim] {
    var claims: [Claim] = []
    for (kind, series, power) in [(Kind.permuted, Claim.Series.permuted, 2), (.paired, .paired, 3)] {
      for loss in PlaneRegression.Loss.allCases {
        let differences = try await OrderDifferences(loss, pairs(kind), power: power, laboratory)
        let squares = differences.squares()
        let slope = differences.fit.exponent(of: squares)
        claims += [
          Claim(series, "slope:\(loss.rawValue)", predicted: Double(power), .estimate(slope)),
          Claim(series, "size:\(loss.rawValue)", predicted: 1, .estimate(differences.relativeSize(power: power))),
        ]
        note("\(kind), \(loss.rawValue)", differences.fit, slope, line: differences.fit.lineSlope(of: squares), laboratory)
      }
    }
    return try await claims + bracketClaims(laboratory)
  }

  /// What is said of the two orders of two updates.
  private func bracketClaims(_ laboratory: Laboratory) async throws -> [Claim] {
    var claims: [Claim] = []
    for loss in PlaneRegression.Loss.allCases {
      // In the decade of the bracket itself, which is lower than that of its error, the terms beyond the fit's are below rounding.
      let differences = try await OrderDifferences(loss, pairs(.bracket), power: 2, laboratory)
      claims.append(Claim(.bracket, "size:\(loss.rawValue)", predicted: 1, .estimate(differences.relativeSize(power: 2))))
      if loss == .leastSquares {
        // Affine maps have no further term, so that what is left is rounding. In each of both paths, two updates round a gradient and its
        // product with η, and one of them a difference: not more than 3 · 2⁻²⁴ times η and the gradients' norms. The gradient of a second
        // update is not that at the start; a seventh part is for what η² adds to it.
        let rounding = Claim.Evidence.exact(differences.largestErrorOfLength, tolerance: 7 * 0x1p-24)
        claims.append(Claim(.bracket, "error:\(loss.rawValue)", predicted: 0, rounding))
      }
    }
    let loss = PlaneRegression.Loss.logistic
    let differences = try await OrderDifferences(loss, pairs(.bracket), power: 3, laboratory)
    let errors = differences.squares(withoutBrackets: true)
    let order = differences.fit.exponent(of: errors)
    // Relative to the bracket, which rises like η².
    let slope = SampleEstimate(order.value - 2, standardError: order.standardError)
    note("bracket, \(loss.rawValue), its relative error", differences.fit, slope, line: differences.fit.lineSlope(of: errors) - 2, laboratory)
    return claims + [Claim(.bracket, "error-slope:\(loss.rawValue)", predicted: 1, .estimate(slope))]
  }

  /// Notes where a decade lies and what was measured in it.
  private func note(_ what: String, _ fit: DecadeFit, _ slope: SampleEstimate, line: Double, _ laboratory: Laboratory) {
    let deviation = NormalDistribution.deviation(exceededWith: 0.05) * slope.standardError
    let (first, last) = (fit.rates.first ?? .nan, fit.rates.last ?? .nan)
    laboratory.note(
      String(
        format: "%@: η from %.3g to %.3g; slope %.5f ± %.5f at 95 %%, and %.4f of a straight line.", what, first, last, slope.value, deviation,
        line))
  }

  package static let notes = [
    "Two permutations of one pass differ by η² times a sum of Lie brackets H_j ∇L_i − H_i ∇L_j (permuted); each followed by its reverse, by η³ "
      + "(paired); two updates, g₁∘g₂ − g₂∘g₁, by η² (H₁ ∇L₂ − H₂ ∇L₁), which is all of it for affine maps (error), and otherwise but for a "
      + "relative error that vanishes like η (error-slope).",
    "The slope is the power of η at η → 0, from a fit that has the next three terms of the expansion too; size is the part of the difference "
      + "that lies along its leading term, over that term.",
    "Each decade begins where rounding, √updates · 2⁻²⁴ · ‖θ_n − θ_0‖, is a hundredth of the difference (of the error, for the bracket's).",
  ]
}
