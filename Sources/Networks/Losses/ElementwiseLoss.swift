import Tensors

/// A loss that compares each number of a prediction with a target of its own. The prediction's loss is the mean over its
/// numbers, as in PyTorch's `reduction="mean"`.
public protocol ElementwiseLoss: Loss {
  /// The loss of one number. It is computed and summed in double precision.
  func value(_ output: Double, target: Double) -> Double

  /// The derivative of `value` by the output.
  func slope(_ output: Float, target: Float) -> Float
}

extension ElementwiseLoss {
  public var targetKind: Targets.Kind { .values }

  /// Each number of a prediction is a term.
  public func termCount(outputs: Int) -> Int { outputs }

  public func sum(over outputs: Matrix, _ targets: Targets, into sum: inout Double) {
    let count = outputs.columns
    for r in 0..<outputs.rows {
      let row = outputs[row: r]
      for c in 0..<count { sum += value(Double(row[c]), target: Double(targets.values[r * count + c])) }
    }
  }

  public func writeGradient(of outputs: Matrix, _ targets: Targets, predictions: Int, to gradient: MutableMatrix) {
    let count = outputs.columns
    let weight = 1 / Float(predictions * count)
    for r in 0..<outputs.rows {
      let (row, result) = (outputs[row: r], gradient[row: r])
      for c in 0..<count { result[c] = weight * slope(row[c], target: targets.values[r * count + c]) }
    }
  }
}
