/// (x − t)², the mean over the numbers of a prediction: `torch.nn.MSELoss`. Its gradient by x is 2 (x − t), divided by how
/// many numbers there are.
public struct MeanSquaredError: ElementwiseLoss {
  public init() {}

  public var measures: [any Measure] { [MeanAbsoluteError(), CoefficientOfDetermination()] }

  public func value(_ output: Double, target: Double) -> Double { (output - target) * (output - target) }
  public func slope(_ output: Float, target: Float) -> Float { 2 * (output - target) }
}
