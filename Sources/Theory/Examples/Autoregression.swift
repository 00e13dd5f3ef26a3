import Replay
import Runs
import Tensors

/// The mean of a stream of normal numbers by SGD: θ ↦ (1 − η) θ + η x_j with x_j of mean 1 and variance 1.
///
/// Forward is an autoregression of order 1. Its stationary law is normal, with mean 1 and variance η / (2 − η). Backward converges to
/// Σ η (1 − η)^(j−1) x_j, which is one draw from that law, at the rate 1 − η.
package struct Autoregression: UpdateMap, AffineExample {
  package static let formula = "θ ↦ (1 − η) θ + η x_j, with normal x_j of mean 1 and variance 1"
  package static let usualLearningRate = 0.1
  package static let largestLearningRate = 0.95

  package let stateCount = 1
  package let metrics = [Metric("loss"), Metric("theta")]
  package let rate: Float
  package var seed = 0

  package init(learningRate: Float) { rate = learningRate }

  package func map(seed: Int) -> Autoregression {
    var map = self
    map.seed = seed
    return map
  }

  package func writeInitialState(seed: Int, to state: inout StateBuffer) {}

  package func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    state[0] += rate * (number(batch, seed: seed) - state[0])
  }

  package func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] {
    let theta = Double(state.values[0])
    return [(theta - 1) * (theta - 1) / 2, theta]
  }

  /// x_j.
  private func number(_ batch: Int, seed: Int) -> Float {
    1 + Float(RandomSource.normals(RandomSource(seed: UInt64(seed), purpose: .synthesis).words(batch: batch)).x)
  }

  // MARK: Predictions

  package let start = [0.0]

  package var law: AffineLaw { .shrinking(rate: Double(rate), mean: 1, variance: 1) }

  package func limit(seed: Int, terms: Int) -> [Double] {
    [shrinkingSeries(rate: Double(rate), terms: terms) { Double(number($0, seed: seed)) }]
  }

  // No x_j is further than 10 standard deviations off.
  package func tolerance(after n: Int) -> Double { shrinkingTolerance(rate: Double(rate), largest: 11, after: n) }

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

extension AffineLaw {
  /// θ ↦ (1 − η) θ + η x on one coordinate.
  package static func shrinking(rate: Double, mean: Double, variance: Double) -> AffineLaw {
    let keep = 1 - rate
    return AffineLaw(
      mean: [mean], meanMap: SquareMatrix(order: 1, [keep]), square: SquareMatrix(order: 1, [keep * keep]), noise: [rate * rate * variance])
  }
}

/// Σ η (1 − η)^(j−1) x_j over the first `terms` batches j, from the last to the first, so that small terms come first.
package func shrinkingSeries(rate: Double, terms: Int, _ x: (_ batch: Int) -> Double) -> Double {
  (1...terms).reversed().reduce(0) { sum, batch in (1 - rate) * sum + rate * x(batch) }
}

/// The error of θ + η (x − θ) in single precision, |x| and |θ| at most `largest`: each update adds at most 2⁻²⁴ (1 + 4η) times that, and
/// takes the factor 1 − η from what was there. After n updates, (1 − η)ⁿ of the start is left besides.
package func shrinkingTolerance(rate: Double, largest: Double, after n: Int) -> Double {
  largest * (0x1p-24 * (1 + 4 * rate) / rate + 2 * Elementary.power(1 - rate, n))
}
