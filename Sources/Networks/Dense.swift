import Tensors

/// y = x Wᵀ + b, with x rows × inputs, W outputs × inputs, b outputs, y rows × outputs: `torch.nn.Linear`.
///
/// An example is one row, all its features flattened (`torch.nn.Flatten` before it), or with `perPosition` a row for each
/// position, its channels the inputs.
public struct Dense: Layer {
  public let outputs: Int
  public let isPerPosition: Bool
  public let hasBias: Bool
  public let initialization: StateLayout.Initialization?

  /// - Parameter initialization: of the weight; by default He's for the number of inputs.
  public init(
    _ outputs: Int, perPosition: Bool = false, bias: Bool = true,
    initialization: StateLayout.Initialization? = nil
  ) {
    self.outputs = outputs
    isPerPosition = perPosition
    hasBias = bias
    self.initialization = initialization
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) -> any PlacedLayer {
    let channels = inputShape[inputShape.count - 1]
    let inputs = isPerPosition ? channels : inputShape.reduce(1, *)
    return PlacedDense(
      inputs: inputs, outputs: outputs, outputShape: isPerPosition ? inputShape.dropLast() + [outputs] : [outputs],
      weight: builder.add(
        "weight", shape: [outputs, inputs], storage: isPerPosition ? .rowMajor : .channelsLast(channels: channels),
        initialization: initialization ?? .heNormal(fan: inputs)),
      bias: hasBias ? builder.add("bias", shape: [outputs], initialization: .constant(0)) : nil)
  }
}

private struct PlacedDense: PlacedLayer {
  let inputs: Int
  let outputs: Int
  let outputShape: [Int]
  let weight: Region
  let bias: Region?

  func forward(_ pass: ForwardPass) {
    let input = pass.input.rearranged(columns: inputs)
    let output = pass.output.rearranged(columns: outputs)
    if let bias { output.fillRows(with: pass.tensor(bias)) }
    BLAS.multiply(
      input, by: pass.tensor(weight).matrix(rows: outputs, columns: inputs), byTransposed: true, into: output,
      beta: bias == nil ? 0 : 1)
  }

  /// ∂x = ∂y W, then ∂W = ∂yᵀ x and ∂b = Σ ∂y over the rows.
  func backward(_ pass: BackwardPass) {
    let outputGradient = pass.outputGradient.rearranged(columns: outputs)
    if let inputGradient = pass.inputGradient?.rearranged(columns: inputs) {
      let weight = pass.tensor(weight).matrix(rows: outputs, columns: inputs)
      BLAS.multiply(outputGradient, by: weight, into: inputGradient)
    }
    pass.takeGradient(of: weight) { target in
      BLAS.multiply(
        outputGradient, transposed: true, by: pass.input.rearranged(columns: inputs),
        into: target.values.matrix(rows: outputs, columns: inputs), alpha: target.scale, beta: target.keep)
    }
    guard let bias else { return }
    pass.takeGradient(of: bias) { target in
      outputGradient.addColumnSums(scaledBy: target.scale, to: target.values, keeping: target.keep)
    }
  }
}
