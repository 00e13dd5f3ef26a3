import CKernels

/// The updates of optimizers, element by element; `Optimizer.Rule` has their formulas. Parameter, gradient and slots are equally
/// long. The parameter and its slots are written, the gradient only read.
public enum OptimizerKernels {
  public static func momentum(
    _ parameter: MutableVector, _ gradient: Vector, velocity: MutableVector, rate: Float, mu: Float
  ) {
    precondition(gradient.count == parameter.count && velocity.count == parameter.count)
    ck_momentum(parameter.base, gradient.base, velocity.base, rate, mu, parameter.count)
  }

  public static func nesterov(
    _ parameter: MutableVector, _ gradient: Vector, velocity: MutableVector, rate: Float, mu: Float
  ) {
    precondition(gradient.count == parameter.count && velocity.count == parameter.count)
    ck_nesterov(parameter.base, gradient.base, velocity.base, rate, mu, parameter.count)
  }

  /// Adam's update number t.
  /// - Parameters:
  ///   - parameter: θ, which is changed.
  ///   - gradient: g.
  ///   - mean: m, which is changed.
  ///   - square: s, which is changed.
  ///   - rate: η / (1 − β₁ᵗ).
  ///   - beta1: β₁.
  ///   - beta2: β₂.
  ///   - squareScale: 1 / √(1 − β₂ᵗ).
  ///   - epsilon: ε.
  public static func adam(
    _ parameter: MutableVector, _ gradient: Vector, mean: MutableVector, square: MutableVector, rate: Float, beta1: Float,
    beta2: Float, squareScale: Float, epsilon: Float
  ) {
    let count = parameter.count
    precondition(gradient.count == count && mean.count == count && square.count == count)
    ck_adam(
      parameter.base, gradient.base, mean.base, square.base, rate, beta1, beta2, squareScale, epsilon, count)
  }

  public static func rmsprop(
    _ parameter: MutableVector, _ gradient: Vector, square: MutableVector, rate: Float, alpha: Float, epsilon: Float
  ) {
    precondition(gradient.count == parameter.count && square.count == parameter.count)
    ck_rmsprop(parameter.base, gradient.base, square.base, rate, alpha, epsilon, parameter.count)
  }
}
