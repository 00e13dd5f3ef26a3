import Runs
import Networks

/// An optimizer with its learning rate, and how that changes.
public struct UpdateRule: Sendable {
  public var optimizer: Optimizer
  /// η, above zero.
  public var learningRate: Double
  /// What part of η each update gets.
  public var schedule: LearningRateSchedule

  public init(_ optimizer: Optimizer, learningRate: Double, schedule: LearningRateSchedule = LearningRateSchedule()) {
    self.optimizer = optimizer
    self.learningRate = learningRate
    self.schedule = schedule
  }

  /// - Parameters:
  ///   - learningRate: η, above zero.
  ///   - weightDecay: λ of L2 decay.
  public static func sgd(learningRate: Double, weightDecay: Double = 0) -> UpdateRule {
    UpdateRule(Optimizer(.sgd, weightDecay: .l2(weightDecay)), learningRate: learningRate)
  }

  /// - Parameters:
  ///   - momentum: μ, from 0 to below 1.
  ///   - learningRate: η, above zero.
  ///   - weightDecay: λ of L2 decay.
  public static func momentum(_ momentum: Double = 0.9, learningRate: Double, weightDecay: Double = 0) -> UpdateRule {
    UpdateRule(Optimizer(.momentum(momentum), weightDecay: .l2(weightDecay)), learningRate: learningRate)
  }

  /// - Parameters:
  ///   - momentum: μ, from 0 to below 1.
  ///   - learningRate: η, above zero.
  ///   - weightDecay: λ of L2 decay.
  public static func nesterov(_ momentum: Double = 0.9, learningRate: Double, weightDecay: Double = 0) -> UpdateRule {
    UpdateRule(Optimizer(.nesterov(momentum), weightDecay: .l2(weightDecay)), learningRate: learningRate)
  }

  /// - Parameters:
  ///   - learningRate: η, above zero.
  ///   - beta1: β₁ of the mean, from 0 to below 1.
  ///   - beta2: β₂ of the square, from 0 to below 1.
  ///   - epsilon: ε, above zero.
  ///   - weightDecay: λ of L2 decay.
  public static func adam(
    learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0
  ) -> UpdateRule {
    UpdateRule(
      Optimizer(.adam(beta1: beta1, beta2: beta2, epsilon: epsilon), weightDecay: .l2(weightDecay)), learningRate: learningRate)
  }

  /// - Parameters:
  ///   - learningRate: η, above zero.
  ///   - beta1: β₁ of the mean, from 0 to below 1.
  ///   - beta2: β₂ of the square, from 0 to below 1.
  ///   - epsilon: ε, above zero.
  ///   - weightDecay: λ of decoupled decay.
  public static func adamW(
    learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0.01
  ) -> UpdateRule {
    UpdateRule(
      Optimizer(.adam(beta1: beta1, beta2: beta2, epsilon: epsilon), weightDecay: .decoupled(weightDecay)),
      learningRate: learningRate)
  }

  /// - Parameters:
  ///   - learningRate: η, above zero.
  ///   - alpha: α of the square, from 0 to below 1.
  ///   - epsilon: ε, above zero.
  ///   - weightDecay: λ of L2 decay.
  public static func rmsProp(
    learningRate: Double, alpha: Double = 0.99, epsilon: Double = 1e-8, weightDecay: Double = 0
  ) -> UpdateRule {
    UpdateRule(Optimizer(.rmsprop(alpha: alpha, epsilon: epsilon), weightDecay: .l2(weightDecay)), learningRate: learningRate)
  }
}
