import Replay

/// Where a batch sequence leads for small η: θ_0 + η a + η² b + η³ c + O(η⁴).
///
/// An update with batch j subtracts η ∇L_j(θ_0 + η a + η² b + …) = η g_j + η² H_j a + η³ (H_j b + ½ T_j[a, a]) + O(η⁴), with g_j, H_j and
/// T_j the first three derivatives of L_j at θ_0. So it takes g_j from a, H_j a from b and H_j b + ½ T_j[a, a] from c, as they were before.
///
/// What follows for two sequences of the same batches:
///
/// - a is −Σ g_j, whatever the order.
/// - b is Σ H_j g_i over all pairs of updates with i before j. Two orders of one pass differ by the pairs that stand the other way round
///   in the second: by the sum of the Lie brackets H_j g_i − H_i g_j of those with i before j in the first. For two updates,
///   g₁∘g₂ − g₂∘g₁, which has batch 2 first in its first part, is η² (H₁ ∇L₂ − H₂ ∇L₁) + O(η³).
/// - In a pass followed by its reverse, each of two different batches i and j stands twice, and the sequence reads i … j … j … i or
///   j … i … i … j. Either way batch i is before j in two of the four pairs of updates and after it in the other two, so the two batches
///   contribute 2 H_j g_i + 2 H_i g_j to b, and each batch H_i g_i with itself. b is thus the same for every order of the pass, and two
///   orders, each followed by its own reverse, differ by η³ times the difference of their c.
package struct PathExpansion: Sendable {
  package private(set) var first = SIMD2<Double>.zero
  package private(set) var second = SIMD2<Double>.zero
  package private(set) var third = SIMD2<Double>.zero

  /// - Parameters:
  ///   - sequence: The batches, first to last.
  ///   - derivatives: Those of batch j, at j − 1.
  package init(of sequence: BatchSequence, _ derivatives: [BatchDerivatives]) {
    for run in sequence.runs {
      for index in 0..<run.count {
        let batch = derivatives[run[index] - 1]
        third -= batch.hessian(times: second) + 0.5 * batch.third(along: first)
        second -= batch.hessian(times: first)
        first -= batch.gradient
      }
    }
  }
}
