/// (x − t)² / 2 where |x − t| ≤ δ, else δ (|x − t| − δ / 2), the mean over the numbers of a prediction: far targets pull
/// no harder than near ones (Huber 1964, "Robust estimation of a location parameter"; `torch.nn.HuberLoss`). Its gradient by x
/// is x − t, held between −δ and δ.
public struct Huber: ElementwiseLoss {
  /// δ, above 0.
  public let delta: Float

  public init(delta: Float = 1) {
    precondition(delta > 0 && delta.isFinite, "the delta of Huber's loss is a positive number")
    self.delta = delta
  }

  public var measures: [any Measure] { [MeanAbsoluteError(), RootMeanSquaredError(), CoefficientOfDetermination()] }

  public func value(_ output: Double, target: Double) -> Double {
    let distance = abs(output - target)
    let delta = Double(delta)
    return distance <= delta ? distance * distance / 2 : delta * (distance - delta / 2)
  }

  public func slope(_ output: Float, target: Float) -> Float {
    let difference = output - target
    // A NaN stays one: both comparisons are false.
    return difference > delta ? delta : difference < -delta ? -delta : difference
  }
}
