import Runs
import Tensors

/// The mean of a stream of normal numbers by SGD: θ ↦ (1 − η) θ + η x_j with x_j of mean 1 and variance 1.
///
/// Forward is an autoregression of order 1. Its stationary law is normal, with mean 1 and variance η / (2 − η). Backward converges to
/// Σ η (1 − η)^(j−1) x_j, which is one draw from that law, at the rate 1 − η.
package struct Autoregression: ShrinkingExample {
  package static let formula = "θ ↦ (1 − η) θ + η x_j, with normal x_j of mean 1 and variance 1"
  package static let usualLearningRate = 0.1
  package static let largestLearningRate = 0.95
  package static let mean = 1.0
  // No x_j is further than 10 standard deviations off.
  package static let largest = 11.0

  package let rate: Float
  package var seed = 0

  package init(learningRate: Float) { rate = learningRate }

  package func number(_ batch: Int, seed: Int) -> Float {
    1 + Float(RandomSource.normals(RandomSource(seed: UInt64(seed), purpose: .synthesis).words(batch: batch)).x)
  }

  package var notes: [String] {
    [
      "Forward is an autoregression of order 1: it converges to the normal law with mean 1 and variance η / (2 − η), and moves on for ever.",
      "Backward converges to Σ η (1 − η)^(j−1) x_j at the rate 1 − η: a point, which is one draw from the same law.",
    ]
  }

  package func claims(_ laboratory: Laboratory) async throws -> [Claim] {
    let deviation = law.covariance[0].squareRoot()
    return try await affineClaims(laboratory, law: { NormalDistribution.probability(below: ($0 - 1) / deviation) }, isNormal: true)
  }
}
