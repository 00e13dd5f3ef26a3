import CKernels

/// The updates of optimizers, element by element; `Optimizer.Rule` has their formulas. Parameter, gradient and slots are equally
/// long. The parameter and its slots are written, the gradient only read.
public enum OptimizerKernels {
  public static func momentum(
    _ parameter: MutableVector, _ gradient: Vector, velocity: SlotVector, rate: Float, mu: Float
  ) {
    let count = parameter.count
    precondition(gradient.count == count && velocity.count == count)
    switch velocity.precision {
    case .float32: ck_momentum(parameter.base, gradient.base, velocity.base, rate, mu, count)
    case .eightBit: ck_momentum_blocks(parameter.base, gradient.base, velocity.base, BlockCode.signed.table, rate, mu, count)
    }
  }

  public static func nesterov(
    _ parameter: MutableVector, _ gradient: Vector, velocity: SlotVector, rate: Float, mu: Float
  ) {
    let count = parameter.count
    precondition(gradient.count == count && velocity.count == count)
    switch velocity.precision {
    case .float32: ck_nesterov(parameter.base, gradient.base, velocity.base, rate, mu, count)
    case .eightBit: ck_nesterov_blocks(parameter.base, gradient.base, velocity.base, BlockCode.signed.table, rate, mu, count)
    }
  }

  /// Adam's update number t.
  /// - Parameters:
  ///   - parameter: θ, which is changed.
  ///   - gradient: g.
  ///   - mean: m, which is changed.
  ///   - square: s, which is changed, in the precision of `mean`.
  ///   - rate: η / (1 − β₁ᵗ).
  ///   - beta1: β₁.
  ///   - beta2: β₂.
  ///   - squareScale: 1 / √(1 − β₂ᵗ).
  ///   - epsilon: ε.
  public static func adam(
    _ parameter: MutableVector, _ gradient: Vector, mean: SlotVector, square: SlotVector, rate: Float, beta1: Float,
    beta2: Float, squareScale: Float, epsilon: Float
  ) {
    let count = parameter.count
    precondition(gradient.count == count && mean.count == count && square.count == count && mean.precision == square.precision)
    switch mean.precision {
    case .float32:
      ck_adam(parameter.base, gradient.base, mean.base, square.base, rate, beta1, beta2, squareScale, epsilon, count)
    case .eightBit:
      ck_adam_blocks(
        parameter.base, gradient.base, mean.base, square.base, BlockCode.signed.table, BlockCode.unsigned.table, rate, beta1,
        beta2, squareScale, epsilon, count)
    }
  }

  public static func rmsprop(
    _ parameter: MutableVector, _ gradient: Vector, square: SlotVector, rate: Float, alpha: Float, epsilon: Float
  ) {
    let count = parameter.count
    precondition(gradient.count == count && square.count == count)
    switch square.precision {
    case .float32: ck_rmsprop(parameter.base, gradient.base, square.base, rate, alpha, epsilon, count)
    case .eightBit:
      ck_rmsprop_blocks(parameter.base, gradient.base, square.base, BlockCode.unsigned.table, rate, alpha, epsilon, count)
    }
  }
}
