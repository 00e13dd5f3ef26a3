import Tensors

/// y = γ (x − μ) / √(σ² + ε) + β for each position, with mean μ and biased variance σ² over its channels:
/// `torch.nn.LayerNorm` (Ba, Kiros, Hinton 2016).
public struct LayerNormalization: Layer {
  public let epsilon: Float

  public init(epsilon: Float = 1e-5) {
    self.epsilon = epsilon
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) -> any PlacedLayer {
    let channels = inputShape[inputShape.count - 1]
    return PlacedLayerNormalization(
      epsilon: epsilon, outputShape: inputShape, channels: channels,
      positions: inputShape.dropLast().reduce(1, *) * builder.batchSize,
      weight: builder.add("weight", shape: [channels], initialization: .constant(1)),
      bias: builder.add("bias", shape: [channels], initialization: .constant(0)))
  }
}

private struct PlacedLayerNormalization: PlacedLayer {
  let epsilon: Float
  let outputShape: [Int]
  let channels: Int
  /// The number of positions in a full batch.
  let positions: Int
  let weight: Region
  let bias: Region

  /// Saved are the means of all positions, then 1 / √(σ² + ε) for each of them.
  var memory: LayerMemory {
    LayerMemory(saved: 2 * positions, backwardScratch: 2 * channels, readsOutput: false, overwritesGradient: false)
  }

  private var means: Region { Region(offset: 0, count: positions) }
  private var inverses: Region { Region(offset: positions, count: positions) }

  func forward(_ pass: ForwardPass) {
    pass.input.rearranged(columns: channels).normalizeRows(
      weight: pass.tensor(weight), bias: pass.tensor(bias), epsilon: epsilon,
      into: pass.output.rearranged(columns: channels), mean: pass.saved.part(means), inverse: pass.saved.part(inverses))
  }

  /// With x̂ = (x − μ) / √(σ² + ε) and g = γ ∂y: ∂x = (g − mean g − x̂ mean(g x̂)) / √(σ² + ε), means over the channels;
  /// ∂γ = Σ ∂y x̂, ∂β = Σ ∂y over all positions.
  func backward(_ pass: BackwardPass) {
    let sums = pass.scratch.part(Region(offset: 0, count: channels))
    let products = pass.scratch.part(Region(offset: channels, count: channels))
    pass.outputGradient.matrix.rearranged(columns: channels).normalizeRowsGradient(
      of: pass.input.rearranged(columns: channels), weight: pass.tensor(weight), mean: pass.saved.part(means),
      inverse: pass.saved.part(inverses), into: pass.inputGradient?.rearranged(columns: channels), sums: sums,
      products: products)
    pass.takeGradient(of: weight) { $0.add(products.vector) }
    pass.takeGradient(of: bias) { $0.add(sums.vector) }
  }
}
