import Replay
import Runs
import Tensors

/// Logistic regression with a quadratic penalty: L_j(θ) = mean over the batch of log(1 + exp(−y aᵀθ)) + ½ λ ‖θ‖².
///
/// Every L_j is λ-strongly convex and its gradient is M-Lipschitz with M = max ‖a‖² / 4 + λ, so every update brings any two states nearer
/// by the factor κ = max(1 − η λ, η M − 1) at least. The stationary law has no closed form, but two of its moments are fixed by its
/// staying the same (Yaida 2019): E[∇L(θ)] = 0, and 2 E[θ · ∇L(θ)] = η E‖∇L_j(θ)‖².
package struct LogisticRegression: ExampleProblem {
  package static let formula = "θ ↦ θ − η ∇L_j(θ): logistic regression in the plane with penalty ¼ ‖θ‖², batches of 4 from 32 examples"
  package static let usualLearningRate = 0.5
  package static let largestLearningRate = 0.6

  /// λ.
  private static let penalty: Float = 0.5

  package let stateCount = 2
  package let metrics = [Metric("loss"), Metric("theta1"), Metric("theta2")]
  package let rate: Float
  package var seed = 0
  private let population: ExamplePopulation
  private var start = SIMD2<Float>.zero

  package init(learningRate: Float) {
    rate = learningRate
    population = .classes
  }

  package func writeInitialState(seed: Int, to state: inout StateBuffer) { (state[0], state[1]) = (start.x, start.y) }

  package func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    let theta = SIMD2(state[0], state[1])
    var gradient = SIMD2<Float>.zero
    population.forEachExample(ofBatch: batch, seed: seed) { example in
      let margin = Double(example.y * (example.a * theta).sum())
      gradient -= example.a * (example.y * Float(1 / (1 + Elementary.exp(margin))))
    }
    let moved = theta - rate * (gradient / Float(ExamplePopulation.batchSize) + Self.penalty * theta)
    (state[0], state[1]) = (moved.x, moved.y)
  }

  package func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] {
    let theta = SIMD2(Double(state.values[0]), Double(state.values[1]))
    let loss = population.mean { a, y in Elementary.log(onePlus: 1 / Elementary.exp(abs(y * (a * theta).sum()))) + max(0, -y * (a * theta).sum()) }
    return [loss + Double(Self.penalty) / 2 * (theta * theta).sum(), theta.x, theta.y]
  }

  // MARK: Predictions

  /// M.
  private var smoothness: Double {
    let largest = population.examples.map { Double(($0.a * $0.a).sum()) }.max() ?? 0
    return largest / 4 + Double(Self.penalty)
  }

  /// κ.
  package var contraction: Double { max(1 - Double(rate * Self.penalty), Double(rate) * smoothness - 1) }

  package var notes: [String] {
    [
      "Every update brings any two states nearer by the factor κ = max(1 − η λ, η M − 1) at least, λ the penalty and M the largest curvature: "
        + "so backward's iterates from any start have one limit, and each seed's rate is at most κ.",
      "The stationary law is known by what its staying the same fixes: E[∇L(θ)] = 0 (gradient), and 2 E[θ · ∇L(θ)] = η E‖∇L_j(θ)‖² (balance: "
        + "the ratio of the right side to the left).",
    ]
  }

  package func claims(_ laboratory: Laboratory) async throws -> [Claim] {
    let (last, window) = (laboratory.steps, rateWindow)
    var elsewhere = self
    elsewhere.start = SIMD2(2, -2)
    let backward = (order: CompositionOrder.backward, n: [window.first, window.last, last])
    let sample = try await laboratory.sample(self, [(.forward, [last]), backward])
    let other = try await laboratory.sample(elsewhere, [backward])
    // A few roundings an update of numbers below 4, which later updates shrink.
    let rounding = 4 * 0x1p-24 * 16 / (1 - contraction)
    func distances(_ n: Int) -> [Double] {
      sample.squaredDistances(of: .backward, n, to: n, in: other, over: 1..<3).map { $0.squareRoot() }
    }
    let apart = Double((elsewhere.start * elsewhere.start).sum()).squareRoot()
    let rates = distances(window.last).map { Elementary.power($0 / apart, 1 / Double(window.last)) }
    var claims = [
      Claim(.backward, "limit", predicted: 0, .exact(distances(last).max() ?? .nan, tolerance: rounding + apart * Elementary.power(contraction, last))),
      Claim(.backward, "rate", predicted: contraction, .atMost(rates.max() ?? .nan)),
    ]
    for (order, series) in [(CompositionOrder.backward, Claim.Series.backward), (.forward, .forward)] {
      let states = zip(sample.values(1, of: order, last), sample.values(2, of: order, last)).map { SIMD2($0, $1) }
      let gradients = states.map(gradient)
      for i in 0..<2 {
        claims.append(Claim(series, "gradient:\(i + 1)", predicted: 0, .estimate(.mean(of: gradients.map { $0.mean[i] }))))
      }
      claims.append(
        Claim(
          series, "balance", predicted: 1,
          .estimate(
            .ratio(
              of: gradients.map { Double(rate) * $0.squaredNorm },
              to: zip(states, gradients).map { 2 * ($0 * $1.mean).sum() }))))
    }
    return claims + sameLaw(sample, at: last, 1..<3, rounding: rounding)
  }

  /// ∇L(θ), and E‖∇L_j(θ)‖² over batches of m independent examples: (1/m) E‖g‖² + (1 − 1/m) ‖E g‖² with g that of one example.
  private func gradient(at theta: SIMD2<Double>) -> (mean: SIMD2<Double>, squaredNorm: Double) {
    var (sum, squares) = (SIMD2<Double>.zero, 0.0)
    for example in population.examples {
      let (a, y) = (SIMD2<Double>(example.a), Double(example.y))
      let gradient = a * (-y / (1 + Elementary.exp(y * (a * theta).sum()))) + Double(Self.penalty) * theta
      sum += gradient
      squares += (gradient * gradient).sum()
    }
    let (count, size) = (Double(ExamplePopulation.count), Double(ExamplePopulation.batchSize))
    let mean = sum / count
    return (mean, squares / count / size + (1 - 1 / size) * (mean * mean).sum())
  }
}
