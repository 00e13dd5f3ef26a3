import Tensors

/// −Σ_k q_k log softmax(x)_k of logits x against a class c, in nats, where q is 1 for c and 0 for the others; with label
/// smoothing ε, q_k = (1 − ε) [k = c] + ε / K (Szegedy et al. 2016, section 7; `torch.nn.CrossEntropyLoss`).
///
/// Logits of −∞ are those of impossible classes. The loss is then +∞ where the class is one of them or labels are smoothed, as it
/// is in PyTorch. With a logit that is NaN or +∞, or with none above −∞, loss and gradient are NaN.
public struct CrossEntropy: ClassLoss {
  /// ε, at least 0 and below 1.
  public let labelSmoothing: Float

  /// - Parameter labelSmoothing: the part of each target that is shared evenly between all classes; at least 0, below 1.
  public init(labelSmoothing: Float = 0) {
    precondition((0..<1).contains(labelSmoothing), "label smoothing is at least 0 and below 1")
    self.labelSmoothing = labelSmoothing
  }

  public var unit: String { "nats" }
  public var measures: [any Measure] { [Accuracy()] }

  /// Few logits of many predictions are worked on together, with the bits of one prediction after the other.
  public func sum(over logits: Matrix, _ targets: Targets, into sum: inout Double) {
    guard labelSmoothing == 0, logits.columns <= Matrix.fewLogits else { return addEach(of: logits, targets, to: &sum) }
    logits.addCrossEntropies(of: targets.classes, to: &sum)
  }

  /// log Σ_k exp(x_k) − Σ_k q_k x_k.
  public func value(_ statistics: LogitStatistics) -> Double {
    let target = Double(statistics.targetLogit)
    guard labelSmoothing > 0 else { return statistics.logOfSum - target }
    let smoothing = Double(labelSmoothing)
    return statistics.logOfSum
      - ((1 - smoothing) * target + smoothing / Double(statistics.count) * statistics.logitSum)
  }

  /// weight · (softmax(x) − q).
  public func finishGradient(
    _ gradient: MutableVector, from first: Int, target: Int, _ statistics: LogitStatistics, times weight: Float
  ) {
    if labelSmoothing > 0 {
      let shared = weight * labelSmoothing / Float(statistics.count)
      for c in 0..<gradient.count { gradient[c] -= shared }
    }
    let place = target - first
    if place >= 0 && place < gradient.count { gradient[place] -= weight * (1 - labelSmoothing) }
  }
}

extension Vector {
  /// The first of the largest; 0 where the first is NaN.
  var indexOfLargest: Int {
    var best = 0
    for c in 1..<max(1, count) where self[c] > self[best] { best = c }
    return best
  }
}
