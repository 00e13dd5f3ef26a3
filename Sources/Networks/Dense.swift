import Tensors

/// y = x Wᵀ + b, with x examples × inputs, W outputs × inputs, b outputs, y examples × outputs: `torch.nn.Linear`.
///
/// Takes inputs of any shape as one row of features.
public struct Dense: Layer {
  public let outputs: Int

  public init(_ outputs: Int) {
    self.outputs = outputs
  }

  public func outputShape(for inputShape: [Int]) -> [Int] { [outputs] }

  public func stateTensors(inputShape: [Int]) -> [TensorDescription] {
    let inputs = inputShape.reduce(1, *)
    return [
      TensorDescription("weight", shape: [outputs, inputs], initialization: .heNormal(fanIn: inputs)),
      TensorDescription("bias", shape: [outputs], initialization: .constant(0)),
    ]
  }

  public func forward(_ pass: ForwardPass) {
    let weight = pass.tensor(0).matrix(rows: outputs, columns: pass.input.columns)
    pass.output.fillRows(with: pass.tensor(1))
    BLAS.multiply(pass.input, by: weight, byTransposed: true, into: pass.output, beta: 1)
  }

  /// ∂x = ∂y W, then ∂W = ∂yᵀ x and ∂b = Σ ∂y over the examples.
  public func backward(_ pass: BackwardPass) {
    let inputs = pass.input.columns
    if let inputGradient = pass.inputGradient {
      let weight = pass.tensor(0).matrix(rows: outputs, columns: inputs)
      BLAS.multiply(pass.outputGradient, by: weight, into: inputGradient)
    }
    let weight = pass.target(0)
    BLAS.multiply(
      pass.outputGradient, transposed: true, by: pass.input,
      into: weight.values.matrix(rows: outputs, columns: inputs), alpha: weight.scale, beta: weight.keep)
    let bias = pass.target(1)
    pass.outputGradient.addColumnSums(scaledBy: bias.scale, to: bias.values, keeping: bias.keep)
  }
}
