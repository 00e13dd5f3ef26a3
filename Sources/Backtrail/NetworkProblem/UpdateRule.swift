import Runs
import Networks

/// An optimizer with its learning rate and the learning-rate schedule.
public struct UpdateRule: Sendable {
  public var optimizer: Optimizer
  /// η, which must be positive.
  public var learningRate: Double
  /// The factor of η for each update.
  public var schedule: LearningRateSchedule

  public init(_ optimizer: Optimizer, learningRate: Double, schedule: LearningRateSchedule = LearningRateSchedule()) {
    self.optimizer = optimizer
    self.learningRate = learningRate
    self.schedule = schedule
  }

  /// - Parameter weightDecay: The λ of L2 decay.
  public static func sgd(learningRate: Double, weightDecay: Double = 0) -> UpdateRule {
    UpdateRule(Optimizer(.sgd, weightDecay: .l2(weightDecay)), learningRate: learningRate)
  }

  /// - Parameter weightDecay: The λ of L2 decay.
  public static func momentum(_ momentum: Double = 0.9, learningRate: Double, weightDecay: Double = 0) -> UpdateRule {
    UpdateRule(Optimizer(.momentum(momentum), weightDecay: .l2(weightDecay)), learningRate: learningRate)
  }

  /// - Parameter weightDecay: The λ of L2 decay.
  public static func nesterov(_ momentum: Double = 0.9, learningRate: Double, weightDecay: Double = 0) -> UpdateRule {
    UpdateRule(Optimizer(.nesterov(momentum), weightDecay: .l2(weightDecay)), learningRate: learningRate)
  }

  /// - Parameter weightDecay: The λ of L2 decay.
  public static func adam(
    learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0
  ) -> UpdateRule {
    UpdateRule(
      Optimizer(.adam(beta1: beta1, beta2: beta2, epsilon: epsilon), weightDecay: .l2(weightDecay)), learningRate: learningRate)
  }

  /// - Parameter weightDecay: The λ of decoupled decay.
  public static func adamW(
    learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0.01
  ) -> UpdateRule {
    UpdateRule(
      Optimizer(.adam(beta1: beta1, beta2: beta2, epsilon: epsilon), weightDecay: .decoupled(weightDecay)),
      learningRate: learningRate)
  }

  /// - Parameter weightDecay: The λ of L2 decay.
  public static func rmsProp(
    learningRate: Double, alpha: Double = 0.99, epsilon: Double = 1e-8, weightDecay: Double = 0
  ) -> UpdateRule {
    UpdateRule(Optimizer(.rmsprop(alpha: alpha, epsilon: epsilon), weightDecay: .l2(weightDecay)), learningRate: learningRate)
  }
}
