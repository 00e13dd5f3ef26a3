import Tensors

/// How a gradient g becomes an update of the parameters θ, with the learning rate η of the update.
///
/// Slots v, m, s have the parameters' shape, start at zero, and are part of the training state. With L2 weight decay λ,
/// g stands for g + λθ; with decoupled decay, θ is multiplied by 1 − ηλ first (Loshchilov and Hutter 2019). Each rule
/// is the one of `torch.optim`, to rounding.
public struct Optimizer: Sendable, Equatable, CustomStringConvertible {
  public enum Rule: Sendable, Equatable {
    /// θ ← θ − η g (Robbins and Monro 1951).
    case sgd
    /// v ← μ v + g; θ ← θ − η v (Polyak 1964, in the form of Sutskever et al. 2013 with η outside).
    case momentum(Double)
    /// v ← μ v + g; θ ← θ − η (g + μ v) (Nesterov 1983; Sutskever et al. 2013).
    case nesterov(Double)
    /// m ← β₁ m + (1 − β₁) g; s ← β₂ s + (1 − β₂) g²; θ ← θ − η m̂ / (√ŝ + ε), where m̂ = m / (1 − β₁ᵗ),
    /// ŝ = s / (1 − β₂ᵗ), and t = 1, 2, … counts the updates the state has had (Kingma and Ba 2015, algorithm 1).
    case adam(beta1: Double, beta2: Double, epsilon: Double)
    /// s ← α s + (1 − α) g²; θ ← θ − η g / (√s + ε) (Hinton 2012, lecture 6e).
    case rmsprop(alpha: Double, epsilon: Double)
  }

  public enum WeightDecay: Sendable, Equatable {
    /// λ of the penalty λ/2 |θ|² on all parameters.
    case l2(Double)
    case decoupled(Double)
  }

  public let rule: Rule
  public let weightDecay: WeightDecay
  /// How the slots are kept between updates. In 8 bits they are decoded for an update, which goes by the rule, and encoded after it.
  public let slotPrecision: SlotPrecision

  public init(_ rule: Rule, weightDecay: WeightDecay = .l2(0), slotPrecision: SlotPrecision = .float32) {
    self.rule = rule
    self.weightDecay = weightDecay
    self.slotPrecision = slotPrecision
  }

  /// The slots' names, those of `torch.optim`.
  public var slotNames: [String] {
    switch rule {
    case .sgd: []
    case .momentum, .nesterov: ["momentum_buffer"]
    case .adam: ["exp_avg", "exp_avg_sq"]
    case .rmsprop: ["square_avg"]
    }
  }

  public var description: String {
    let rule =
      switch rule {
      case .sgd: "sgd"
      case .momentum(let mu): "momentum:\(mu)"
      case .nesterov(let mu): "nesterov:\(mu)"
      case .adam(let beta1, let beta2, let epsilon): "adam:\(beta1),\(beta2),\(epsilon)"
      case .rmsprop(let alpha, let epsilon): "rmsprop:\(alpha),\(epsilon)"
      }
    let decay =
      switch weightDecay {
      case .l2(0), .decoupled(0): ""
      case .l2(let lambda): ", weight decay \(lambda)"
      case .decoupled(let lambda): ", decoupled weight decay \(lambda)"
      }
    return rule + decay + (slotPrecision == .float32 || slotNames.isEmpty ? "" : ", \(slotPrecision) slots")
  }
}

/// One update by an optimizer: its rule with the numbers of the moment.
struct OptimizerStep {
  let rule: Optimizer.Rule
  let weightDecay: Optimizer.WeightDecay
  let learningRate: Double
  /// How many updates the state has had before this one.
  let position: Int
  let slots: SlotLayout

  /// The regions of the state that an update of the parameter at `region`, or of a part of one, reads and writes.
  func regions(of region: Region) -> [Region] {
    [region] + (0..<slots.count).map { slots.region($0, of: region) }
  }

  /// Updates the parameter at `region`, or a part of one, and its slots. Overwrites `gradient`.
  func apply(_ gradient: MutableVector, to region: Region, of state: MutableVector) {
    let parameter = state.part(region)
    func slot(_ number: Int) -> SlotVector {
      SlotVector(state.part(slots.region(number, of: region)), count: region.count, slots.precision)
    }
    switch weightDecay {
    case .l2(let lambda): if lambda != 0 { gradient.assign(Float(lambda), times: parameter.vector, plus: 1) }
    case .decoupled(let lambda): if lambda != 0 { parameter.scale(by: Float(1 - learningRate * lambda)) }
    }
    let rate = Float(learningRate)
    switch rule {
    case .sgd:
      parameter.assign(-rate, times: gradient.vector, plus: 1)
    case .momentum(let mu):
      OptimizerKernels.momentum(parameter, gradient.vector, velocity: slot(0), rate: rate, mu: Float(mu))
    case .nesterov(let mu):
      OptimizerKernels.nesterov(parameter, gradient.vector, velocity: slot(0), rate: rate, mu: Float(mu))
    case .adam(let beta1, let beta2, let epsilon):
      let (correction1, correction2) = (1 - Elementary.power(beta1, position + 1), 1 - Elementary.power(beta2, position + 1))
      OptimizerKernels.adam(
        parameter, gradient.vector, mean: slot(0), square: slot(1), rate: Float(learningRate / correction1),
        beta1: Float(beta1), beta2: Float(beta2), squareScale: Float(1 / correction2.squareRoot()),
        epsilon: Float(epsilon))
    case .rmsprop(let alpha, let epsilon):
      OptimizerKernels.rmsprop(
        parameter, gradient.vector, square: slot(0), rate: rate, alpha: Float(alpha), epsilon: Float(epsilon))
    }
  }
}
