import Tensors

extension Optimizer {
  /// The specifications `init(_:weightDecay:)` reads.
  public static let forms =
    "sgd, momentum[:μ], nesterov[:μ] (μ 0.9), adam[:β1,β2,ε], adamw[:β1,β2,ε] (0.9, 0.999, 1e-8), rmsprop[:α,ε] (0.99, 1e-8)"

  /// Reads a specification such as `momentum:0.9`; numbers left out are `torch.optim`'s.
  /// - Parameters:
  ///   - specification: one of `forms`.
  ///   - weightDecay: `λ` for L2 decay (for adamw decoupled, by default 0.01), `decoupled:λ` for decoupled decay
  ///     with any rule; nil for none.
  ///   - slotPrecision: how the slots are kept between updates.
  /// - Throws: `NetworkError.unreadable`.
  public init(_ specification: String, weightDecay: String? = nil, slotPrecision: SlotPrecision = .float32) throws(NetworkError) {
    let parts = specification.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts.first ?? "")
    /// The numbers after the colon, completed by those of `defaults`.
    func numbers(_ defaults: [Double], _ isValid: (Int, Double) -> Bool) throws(NetworkError) -> [Double] {
      guard parts.count == 2 else { return defaults }
      let words = parts[1].split(separator: ",", omittingEmptySubsequences: false)
      var numbers: [Double] = []
      for (index, word) in words.enumerated() {
        guard let number = Double(word), number.isFinite, isValid(index, number) else {
          throw .unreadable("the optimizer '\(specification)' can't be read at '\(word)'; there are \(Self.forms)")
        }
        numbers.append(number)
      }
      guard numbers.count <= defaults.count else {
        throw .unreadable("the optimizer '\(specification)' has too many numbers; there are \(Self.forms)")
      }
      return numbers + defaults[numbers.count...]
    }
    func isDecay(_ number: Double) -> Bool { (0..<1).contains(number) }

    self.slotPrecision = slotPrecision
    var decouples = false
    switch name {
    case "sgd":
      _ = try numbers([]) { _, _ in true }
      rule = .sgd
    case "momentum":
      rule = .momentum(try numbers([0.9]) { isDecay($1) }[0])
    case "nesterov":
      rule = .nesterov(try numbers([0.9]) { isDecay($1) }[0])
    case "adam", "adamw":
      let values = try numbers([0.9, 0.999, 1e-8]) { $0 < 2 ? isDecay($1) : $1 > 0 }
      rule = .adam(beta1: values[0], beta2: values[1], epsilon: values[2])
      decouples = name == "adamw"
    case "rmsprop":
      let values = try numbers([0.99, 1e-8]) { $0 < 1 ? isDecay($1) : $1 > 0 }
      rule = .rmsprop(alpha: values[0], epsilon: values[1])
    default:
      throw .unreadable("no optimizer is called '\(specification)'; there are \(Self.forms)")
    }

    guard let weightDecay else {
      self.weightDecay = decouples ? .decoupled(0.01) : .l2(0)
      return
    }
    let mark = "decoupled:"
    let isMarked = weightDecay.hasPrefix(mark)
    guard let lambda = Double(isMarked ? String(weightDecay.dropFirst(mark.count)) : weightDecay), (0..<1e6).contains(lambda)
    else {
      throw .unreadable("the weight decay '\(weightDecay)' is not λ, a number from 0, or decoupled:λ")
    }
    self.weightDecay = decouples || isMarked ? .decoupled(lambda) : .l2(lambda)
  }
}
