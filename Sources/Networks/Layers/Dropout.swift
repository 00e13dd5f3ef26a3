import Tensors

/// In training, each element is 0 with a probability p, else divided by 1 − p: `torch.nn.Dropout` (Srivastava et al. 2014).
///
/// Which ones is a pure function of (seed, layer, batch, row of the batch, element), so that an update is the same map
/// wherever it is replayed, and the backward pass makes the mask again instead of keeping it.
public struct Dropout: Layer {
  public let probability: Double

  /// - Parameter probability: at least 0, below 1.
  public init(_ probability: Double) {
    self.probability = probability
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    guard (0..<1).contains(probability) else {
      throw .shape("a dropout's probability is at least 0 and below 1, not \(probability)")
    }
    return PlacedDropout(probability: probability, outputShape: inputShape, stream: builder.newStream())
  }
}

private struct PlacedDropout: PlacedLayer {
  let probability: Double
  let outputShape: [Int]
  /// The layer's number among those with randomness.
  let stream: Int

  var memory: LayerMemory { LayerMemory(readsInput: false, readsOutput: false, overwritesGradient: false) }

  var batchParts: BatchParts { .any }

  func forward(_ pass: ForwardPass) {
    drop(pass.input, into: pass.output, context: pass.context)
  }

  /// ∂x is ∂y with the same elements dropped and the same factor.
  func backward(_ pass: BackwardPass) {
    guard let inputGradient = pass.inputGradient else { return }
    drop(pass.outputGradient.matrix, into: inputGradient, context: pass.context)
  }

  private func drop(_ input: Matrix, into output: MutableMatrix, context: PassContext) {
    guard context.isTraining, probability > 0 else {
      output.elements.copy(from: input.elements)
      return
    }
    let source = RandomSource(seed: context.seed, purpose: .dropout)
    for row in 0..<input.rows {
      // Batches have fewer than 2²⁰ rows, and networks fewer than 2¹² layers.
      output[row: row].assignDropout(
        of: input[row: row], probability: probability, source: source, batch: context.batch,
        example: stream << 20 | context.firstExample + row)
    }
  }
}
