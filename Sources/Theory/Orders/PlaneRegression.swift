import Replay
import Runs
import Tensors

/// Regression in the plane by mini-batches, whose updates do not commute: L_j(θ) is the mean over the batch of ℓ(aᵀθ, y), plus ½ λ ‖θ‖².
///
/// The state is the displacement of θ from its start, which begins at 0. Roundings are then as small as what the updates add up to,
/// and not as large as θ. Gradients are computed in double precision and rounded to single, as the state is.
package struct PlaneRegression: SeededProblem {
  package enum Loss: String, CaseIterable, Sendable {
    /// ½ (aᵀθ − y)², without a penalty: each batch has a Hessian of its own, which is the same everywhere.
    case leastSquares = "least-squares"
    /// log(1 + exp(−y aᵀθ)) with λ = ½: the Hessian changes with θ.
    case logistic
  }

  package let stateCount = 2
  package let metrics = [Metric("loss"), Metric("displacement1"), Metric("displacement2")]
  package let loss: Loss
  package let rate: Float
  package var seed = 0
  private let population: ExamplePopulation

  package init(_ loss: Loss, learningRate: Float) {
    self.loss = loss
    rate = learningRate
    population = loss == .leastSquares ? .linear : .classes
  }

  /// θ_0. That of the logistic loss is where third derivatives are not 0, as they are at the origin, and near the minimum, so that
  /// the gradients of batches differ by more than their mean and brackets are not small beside displacements.
  package var start: SIMD2<Double> { loss == .leastSquares ? .zero : SIMD2(0.5, -1) }

  /// λ.
  private var penalty: Double { loss == .leastSquares ? 0 : 0.5 }

  package func writeInitialState(seed: Int, to state: inout StateBuffer) {}

  package func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    let gradient = SIMD2<Float>(gradient(ofBatch: batch, at: start + SIMD2(Double(state[0]), Double(state[1]))))
    state[0] -= rate * gradient.x
    state[1] -= rate * gradient.y
  }

  package func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] {
    let displacement = SIMD2(Double(state.values[0]), Double(state.values[1]))
    let theta = start + displacement
    let mean = population.mean { a, y in
      let product = (a * theta).sum()
      return switch loss {
      case .leastSquares: (product - y) * (product - y) / 2
      case .logistic: Elementary.log(onePlus: 1 / Elementary.exp(abs(product))) + max(0, -y * product)
      }
    }
    return [mean + penalty / 2 * (theta * theta).sum(), displacement.x, displacement.y]
  }

  /// ∇L_j(θ) of this seed's batch j.
  package func gradient(ofBatch batch: Int, at theta: SIMD2<Double>) -> SIMD2<Double> {
    var sum = SIMD2<Double>.zero
    population.forEachExample(ofBatch: batch, seed: seed) { example in
      let a = SIMD2<Double>(example.a)
      sum += slopes(at: (a * theta).sum(), Double(example.y)).first * a
    }
    return sum / Double(ExamplePopulation.batchSize) + penalty * theta
  }

  /// The derivatives of L_j at the start.
  package func derivatives(ofBatch batch: Int) -> BatchDerivatives {
    var derivatives = BatchDerivatives()
    let share = 1 / Double(ExamplePopulation.batchSize)
    population.forEachExample(ofBatch: batch, seed: seed) { example in
      let a = SIMD2<Double>(example.a)
      let slopes = slopes(at: (a * start).sum(), Double(example.y))
      derivatives.gradient += share * slopes.first * a
      derivatives.hessian += share * slopes.second * SIMD3(a.x * a.x, a.x * a.y, a.y * a.y)
      derivatives.third += share * slopes.third * SIMD4(a.x * a.x * a.x, a.x * a.x * a.y, a.x * a.y * a.y, a.y * a.y * a.y)
    }
    derivatives.gradient += penalty * start
    derivatives.hessian += penalty * SIMD3(1, 0, 1)
    return derivatives
  }

  /// The first three derivatives of ℓ by p = aᵀθ. With s = 1 / (1 + exp(−p)), those of the logistic loss are s − 1 for y = 1 or s for
  /// y = −1, then s (1 − s) and s (1 − s) (1 − 2s).
  private func slopes(at product: Double, _ y: Double) -> (first: Double, second: Double, third: Double) {
    switch loss {
    case .leastSquares: return (product - y, 1, 0)
    case .logistic:
      let s = 1 / (1 + Elementary.exp(-product))
      return (y > 0 ? s - 1 : s, s * (1 - s), s * (1 - s) * (1 - 2 * s))
    }
  }
}

/// The derivatives of a loss in the plane at a point.
package struct BatchDerivatives: Sendable {
  package var gradient = SIMD2<Double>.zero
  /// By coordinates 11, 12 and 22.
  package var hessian = SIMD3<Double>.zero
  /// The third derivatives T, by coordinates 111, 112, 122 and 222.
  package var third = SIMD4<Double>.zero

  package init() {}

  /// H v.
  package func hessian(times v: SIMD2<Double>) -> SIMD2<Double> {
    SIMD2(hessian.x * v.x + hessian.y * v.y, hessian.y * v.x + hessian.z * v.y)
  }

  /// T[v, v], the second derivative of the gradient along v.
  package func third(along v: SIMD2<Double>) -> SIMD2<Double> {
    let (xx, xy, yy) = (v.x * v.x, 2 * v.x * v.y, v.y * v.y)
    return SIMD2(third.x * xx + third.y * xy + third.z * yy, third.y * xx + third.z * xy + third.w * yy)
  }
}
