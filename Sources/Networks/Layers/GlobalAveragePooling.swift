import Tensors

/// The mean of each channel over all positions: `torch.nn.AdaptiveAvgPool2d(1)`.
public struct GlobalAveragePooling: Layer {
  public init() {}

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) -> any PlacedLayer {
    PlacedGlobalAveragePooling(
      positions: inputShape.dropLast().reduce(1, *), outputShape: [inputShape[inputShape.count - 1]])
  }
}

private struct PlacedGlobalAveragePooling: PlacedLayer {
  let positions: Int
  let outputShape: [Int]
  var memory: LayerMemory { LayerMemory(readsInput: false, readsOutput: false) }
  var batchParts: BatchParts { .any }

  func forward(_ pass: ForwardPass) {
    for r in 0..<pass.input.rows {
      pass.input[row: r].matrix(rows: positions, columns: outputShape[0])
        .addColumnSums(scaledBy: 1 / Float(positions), to: pass.output[row: r], keeping: 0)
    }
  }

  func backward(_ pass: BackwardPass) {
    guard let inputGradient = pass.inputGradient else { return }
    pass.outputGradient.elements.scale(by: 1 / Float(positions))
    for r in 0..<inputGradient.rows {
      inputGradient[row: r].matrix(rows: positions, columns: outputShape[0])
        .fillRows(with: pass.outputGradient[row: r].vector)
    }
  }
}
