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
    LayerMemory(saved: 2 * positions, backwardScratch: 2 * sums.count, readsOutput: false, overwritesGradient: false)
  }

  /// Sums over the positions of each block: blocks × channels.
  private var sums: Region {
    Region(offset: 0, count: (positions + MatrixKernels.sumRows - 1) / MatrixKernels.sumRows * channels)
  }
  private var products: Region { Region(offset: sums.count, count: sums.count) }

  var batchParts: BatchParts { .sums(rowsPerExample: outputShape.dropLast().reduce(1, *)) }

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
    let input = pass.input.rearranged(columns: channels)
    let outputGradient = pass.outputGradient.matrix.rearranged(columns: channels)
    let inputGradient = pass.inputGradient?.rearranged(columns: channels)
    let blocks = (input.rows + MatrixKernels.sumRows - 1) / MatrixKernels.sumRows
    let sums = pass.scratch.part(sums).matrix(rows: blocks, columns: channels)
    let products = pass.scratch.part(products).matrix(rows: blocks, columns: channels)
    let (means, inverses) = (pass.saved.part(means), pass.saved.part(inverses))
    for block in 0..<blocks {
      let rows = block * MatrixKernels.sumRows..<min((block + 1) * MatrixKernels.sumRows, input.rows)
      let positions = Region(offset: rows.lowerBound, count: rows.count)
      outputGradient.rows(rows).normalizeRowsGradient(
        of: input.rows(rows), weight: pass.tensor(weight), mean: means.part(positions), inverse: inverses.part(positions),
        into: inputGradient?.rows(rows), sums: sums[row: block], products: products[row: block])
    }
    pass.takeGradient(of: weight) { $0.add(parts: products.matrix) }
    pass.takeGradient(of: bias) { $0.add(parts: sums.matrix) }
  }
}
