/// The same numbers as one row of features: `torch.nn.Flatten`. `Dense` does so by itself; this is for other layers, and for
/// names that count as a PyTorch module's do.
public struct Flatten: Layer {
  public init() {}

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) -> any PlacedLayer {
    PlacedFlatten(outputShape: [inputShape.reduce(1, *)])
  }
}

private struct PlacedFlatten: PlacedLayer {
  let outputShape: [Int]
  var memory: LayerMemory { LayerMemory(isInPlace: true, readsInput: false, readsOutput: false, overwritesGradient: false) }
  var batchParts: BatchParts { .any }

  func forward(_ pass: ForwardPass) {}
  func backward(_ pass: BackwardPass) {}
}
