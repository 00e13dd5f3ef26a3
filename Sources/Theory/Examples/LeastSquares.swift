import Replay
import Runs
import Tensors

/// Linear regression on a fixed population by mini-batches: L_j(θ) = mean over the batch of ½ (aᵀθ − y)². The updates are affine maps whose
/// Hessians are random.
///
/// The stationary covariance solves the discrete Lyapunov equation Σ = E[A Σ Aᵀ] + E[b bᵀ], with A = I − η H_j.
package struct LeastSquares: AffineExample {
  package static let formula = "θ ↦ θ − η (H_j θ − g_j): linear regression in the plane, batches of 4 from 32 examples"
  package static let usualLearningRate = 0.2
  package static let largestLearningRate = 0.5

  package let stateCount = 2
  package let metrics = [Metric("loss"), Metric("theta1"), Metric("theta2")]
  package let rate: Float
  package var seed = 0
  private let population: ExamplePopulation
  package let law: AffineLaw

  package init(learningRate: Float) {
    rate = learningRate
    population = .linear
    law = Self.law(of: population, rate: Double(learningRate))
  }

  package func writeInitialState(seed: Int, to state: inout StateBuffer) {}

  package func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    let theta = SIMD2(state[0], state[1])
    var gradient = SIMD2<Float>.zero
    population.forEachExample(ofBatch: batch, seed: seed) { gradient += $0.a * (($0.a * theta).sum() - $0.y) }
    let moved = theta - (rate / Float(ExamplePopulation.batchSize)) * gradient
    (state[0], state[1]) = (moved.x, moved.y)
  }

  package func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] {
    let theta = SIMD2(Double(state.values[0]), Double(state.values[1]))
    let loss = population.mean { a, y in
      let error = (a * theta).sum() - y
      return error * error / 2
    }
    return [loss, theta.x, theta.y]
  }

  // MARK: Predictions

  package let start = [0.0, 0.0]

  /// A batch is the mean of m independent examples, so that E[H ⊗ H] of a batch is (1/m) E[h ⊗ h] + (1 − 1/m) E[h] ⊗ E[h] with h = a aᵀ
  /// of one example, and E[b bᵀ] = η²/m E[r² a aᵀ] with r = y − aᵀμ, since E[a r] = 0 at μ.
  private static func law(of population: ExamplePopulation, rate: Double) -> AffineLaw {
    func moment(_ function: (SIMD2<Double>, Double) -> Double) -> SquareMatrix {
      SquareMatrix(order: 2, (0..<4).map { entry in population.mean { a, y in a[entry / 2] * a[entry % 2] * function(a, y) } })
    }
    let hessian = moment { _, _ in 1 }
    let mean = hessian.solution(of: (0..<2).map { entry in population.mean { a, y in a[entry] * y } })
    let size = Double(ExamplePopulation.batchSize)
    let identity = SquareMatrix.identity(2)
    let both = hessian.kronecker(hessian)
    let (left, right) = (hessian.kronecker(identity), identity.kronecker(hessian))
    // The entry (i, j), (k, l) of h ⊗ h is a_i a_k a_j a_l.
    let single = SquareMatrix(
      order: 4,
      (0..<16).map { entry in
        let (i, j, k, l) = (entry / 8, entry / 4 % 2, entry / 2 % 2, entry % 2)
        return population.mean { a, _ in a[i] * a[k] * a[j] * a[l] }
      })
    let square = SquareMatrix(
      order: 4,
      (0..<16).map { entry in
        SquareMatrix.identity(4).values[entry] - rate * (left.values[entry] + right.values[entry])
          + rate * rate * (single.values[entry] / size + both.values[entry] * (1 - 1 / size))
      })
    let noise = moment { a, y in
      let rest = y - a.x * mean[0] - a.y * mean[1]
      return rest * rest
    }
    return AffineLaw(
      mean: mean, meanMap: identity.minus(SquareMatrix(order: 2, hessian.values.map { rate * $0 })), square: square,
      noise: noise.values.map { rate * rate / size * $0 })
  }

  package func limit(seed: Int, terms: Int) -> [Double] {
    var product = SquareMatrix.identity(2)
    var sum = [0.0, 0.0]
    let factor = Double(rate / Float(ExamplePopulation.batchSize))
    for batch in 1...terms {
      var map = SquareMatrix.identity(2)
      var shift = [0.0, 0.0]
      population.forEachExample(ofBatch: batch, seed: seed) { example in
        let (a, y) = (SIMD2<Double>(example.a), Double(example.y))
        for i in 0..<2 {
          shift[i] += factor * a[i] * y
          for k in 0..<2 { map[i, k] -= factor * a[i] * a[k] }
        }
      }
      sum = zip(sum, product.times(shift)).map(+)
      product = product.times(map)
    }
    return sum
  }

  /// Some dozen roundings an update, each of numbers below 8, that later updates shrink on average; and what is left of the start, where
  /// the products of a few seeds are many times their root mean square.
  package func tolerance(after n: Int) -> Double { 8 * (0x1p-24 * 24 / (1 - contraction) + 100 * Elementary.power(contraction, n)) }

  package var notes: [String] {
    [
      "The covariance solves Σ = E[A Σ Aᵀ] + E[b bᵀ] over all batches, with A = I − η H_j. Not every update contracts in every direction; "
        + "the root mean square of their product does, by the root of the largest eigenvalue of E[A ⊗ A] in the long run.",
      "The rate is that of √E‖θ_n − θ_∞‖² between two n.",
    ]
  }

  package func claims(_ laboratory: Laboratory) async throws -> [Claim] { try await affineClaims(laboratory, law: nil) }
}
