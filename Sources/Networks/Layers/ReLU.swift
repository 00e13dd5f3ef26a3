import Tensors

/// y = max(x, 0), in place: `torch.nn.ReLU`.
public struct ReLU: Layer {
  public init() {}

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) -> any PlacedLayer {
    PlacedReLU(outputShape: inputShape)
  }
}

private struct PlacedReLU: PlacedLayer {
  let outputShape: [Int]
  var memory: LayerMemory { LayerMemory(isInPlace: true, readsInput: false) }
  var batchParts: BatchParts { .any }

  func forward(_ pass: ForwardPass) {
    pass.output.elements.rectify()
  }

  /// ∂x = ∂y where y > 0, else 0.
  func backward(_ pass: BackwardPass) {
    pass.inputGradient?.elements.keep(where: pass.output.elements)
  }
}
