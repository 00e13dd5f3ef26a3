import Tensors

/// y = x W + b, with x rows × inputs, W inputs × outputs (`torch.nn.Linear`'s transposed), b outputs, y rows × outputs.
///
/// An example is one row, all its features: of an image, `Dense(32)` sees every channel of every pixel, as if
/// `torch.nn.Flatten` stood before it, and its output has the shape [32]. With `perPosition` an example is a row for each
/// position, its channels the inputs.
public struct Dense: Layer {
  public let outputs: Int
  public let isPerPosition: Bool
  public let hasBias: Bool
  public let initialization: StateLayout.Initialization?

  /// - Parameters:
  ///   - outputs: how many numbers come out.
  ///   - perPosition: whether it looks at each position alone, rather than at the whole example.
  ///   - bias: whether each output gets a number of its own.
  ///   - initialization: of the weight; by default He's for the number of inputs.
  public init(
    _ outputs: Int, perPosition: Bool = false, bias: Bool = true,
    initialization: StateLayout.Initialization? = nil
  ) {
    self.outputs = outputs
    isPerPosition = perPosition
    hasBias = bias
    self.initialization = initialization
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    guard (1...1 << 31).contains(outputs) else { throw .shape("a dense layer has from 1 to \(1 << 31) outputs, not \(outputs)") }
    let channels = inputShape[inputShape.count - 1]
    let inputs = isPerPosition ? channels : inputShape.reduce(1, *)
    return PlacedDense(
      inputs: inputs, outputs: outputs, outputShape: isPerPosition ? inputShape.dropLast() + [outputs] : [outputs],
      weight: builder.add(
        "weight", shape: [outputs, inputs], storage: .inputsFirst(channels: channels),
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

  var memory: LayerMemory { LayerMemory(readsOutput: false, overwritesGradient: false) }
  var batchParts: BatchParts { .sums(rowsPerExample: outputShape.reduce(1, *) / outputs) }
  var multiplyAdds: Double { Double(inputs) * outputShape.reduce(1) { $0 * Double($1) } }

  func forward(_ pass: ForwardPass) {
    let input = pass.input.rearranged(columns: inputs)
    let output = pass.output.rearranged(columns: outputs)
    multiply(
      input, by: pass.tensor(weight).matrix(rows: inputs, columns: outputs), into: output,
      bias: bias.map { pass.tensor($0) }, products: pass.context.products)
  }

  /// ∂x = ∂y Wᵀ, then ∂W = xᵀ ∂y and ∂b = Σ ∂y over the rows.
  func backward(_ pass: BackwardPass) {
    let outputGradient = pass.outputGradient.matrix.rearranged(columns: outputs)
    if let inputGradient = pass.inputGradient?.rearranged(columns: inputs) {
      let weight = pass.tensor(weight).matrix(rows: inputs, columns: outputs)
      multiply(outputGradient, by: weight, byTransposed: true, into: inputGradient, products: pass.context.products)
    }
    pass.takeGradient(of: weight) { target in
      multiply(
        pass.input.rearranged(columns: inputs), transposed: true, by: outputGradient,
        into: target.values.matrix(rows: inputs, columns: outputs), alpha: target.scale, beta: target.keep,
        products: pass.context.products)
    }
    guard let bias else { return }
    pass.takeGradient(of: bias) { target in
      outputGradient.addColumnSums(scaledBy: target.scale, to: target.values, keeping: target.keep)
    }
  }
}
