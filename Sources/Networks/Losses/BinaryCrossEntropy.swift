import Tensors

/// −t log σ(x) − (1 − t) log(1 − σ(x)) of a logit x against a probability t from 0 to 1, with σ(x) = 1 / (1 + e⁻ˣ), in
/// nats, the mean over the numbers of a prediction: `torch.nn.BCEWithLogitsLoss`.
///
/// It is computed as max(x, 0) − x t + log(1 + e^−|x|), in which nothing overflows and no large numbers cancel. Its gradient by x is
/// σ(x) − t.
public struct BinaryCrossEntropy: ElementwiseLoss {
  public init() {}

  public var unit: String { "nats" }
  public var measures: [any Measure] { [BinaryAccuracy()] }
  public var targetRange: ClosedRange<Float> { 0...1 }

  public func value(_ output: Double, target: Double) -> Double {
    (output < 0 ? 0 : output) - output * target + Elementary.log(onePlus: Elementary.exp(-abs(output)))
  }

  public func slope(_ output: Float, target: Float) -> Float {
    let small = Float(Elementary.exp(Double(-abs(output))))
    return (output < 0 ? small : 1) / (1 + small) - target
  }
}
