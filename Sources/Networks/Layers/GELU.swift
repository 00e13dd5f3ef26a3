import Tensors

/// y = x Φ(x), with Φ the distribution function of the standard normal: `torch.nn.GELU` (Hendrycks and Gimpel 2016).
public struct GELU: Layer {
  public init() {}

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) -> any PlacedLayer {
    PlacedGELU(outputShape: inputShape)
  }
}

private struct PlacedGELU: PlacedLayer {
  let outputShape: [Int]
  var memory: LayerMemory { LayerMemory(readsOutput: false, overwritesGradient: false) }
  var batchParts: BatchParts { .any }

  func forward(_ pass: ForwardPass) {
    pass.output.elements.assignGELU(of: pass.input.elements)
  }

  /// ∂x = ∂y (Φ(x) + x φ(x)).
  func backward(_ pass: BackwardPass) {
    pass.inputGradient?.elements.assignGELUGradient(pass.outputGradient.elements.vector, of: pass.input.elements)
  }
}
