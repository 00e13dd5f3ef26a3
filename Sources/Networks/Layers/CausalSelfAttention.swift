import Tensors

/// softmax(q kᵀ / √d) v for each head, where a position sees itself and those before it (Vaswani et al. 2017).
///
/// x is [context, 3 · width]: queries, keys and values of all heads side by side, as nanoGPT's `c_attn` makes them; y is
/// [context, width], the heads side by side; d = width / heads. Probabilities are not saved but computed again in the
/// backward pass, so that memory does not grow with context² · heads · examples.
public struct CausalSelfAttention: Layer {
  public let heads: Int

  public init(heads: Int) {
    self.heads = heads
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    guard inputShape.count == 2, heads > 0, inputShape[1].isMultiple(of: 3 * heads) else {
      throw .shape(
        "attention with \(heads) heads needs positions × (queries, keys and values of all heads), not \(inputShape)")
    }
    return PlacedCausalSelfAttention(context: inputShape[0], heads: heads, width: inputShape[1] / 3)
  }
}

private struct PlacedCausalSelfAttention: PlacedLayer {
  let context: Int
  let heads: Int
  let width: Int

  var outputShape: [Int] { [context, width] }

  /// The probabilities of one head of one example, and their gradient.
  var memory: LayerMemory {
    
    LayerMemory(
      forwardScratch: context * context, backwardScratch: 2 * context * context, readsOutput: false, overwritesGradient: false)
  
  }

  private var depth: Int { width / heads }
  private var scale: Float { 1 / Float(depth).squareRoot() }

  /// The columns of one head in part `part` of (queries, keys, values).
  private func columns(_ head: Int, part: Int = 0) -> Range<Int> {
    let start = part * width + head * depth
    return start..<start + depth
  }

  private func square(_ index: Int, of scratch: MutableVector) -> MutableMatrix {
    scratch.part(Region(offset: index * context * context, count: context * context))
      .matrix(rows: context, columns: context)
  }

  /// Fills `probabilities`, positions × positions, for one head of one example.
  /// - Parameter input: positions × 3 · width.
  private func attend(_ input: Matrix, head: Int, probabilities: MutableMatrix, threads: Int) {
    multiply(
      input.columns(columns(head)), by: input.columns(columns(head, part: 1)), byTransposed: true, into: probabilities,
      threads: threads)
    probabilities.becomeCausalSoftmax(scale: scale)
  }

  func forward(_ pass: ForwardPass) {
    let probabilities = square(0, of: pass.scratch)
    let threads = pass.context.threads
    for example in 0..<pass.input.rows {
      let input = pass.input[row: example].matrix(rows: context, columns: 3 * width)
      let output = pass.output[row: example].matrix(rows: context, columns: width)
      for head in 0..<heads {
        attend(input, head: head, probabilities: probabilities, threads: threads)
        multiply(
          probabilities.matrix, by: input.columns(columns(head, part: 2)), into: output.columns(columns(head)),
          threads: threads)
      }
    }
  }

  /// With P the probabilities: ∂v = Pᵀ ∂y, ∂P = ∂y vᵀ, ∂S by the softmax, ∂q = ∂S k, ∂k = ∂Sᵀ q.
  func backward(_ pass: BackwardPass) {
    guard let inputGradient = pass.inputGradient else { return }
    let (probabilities, gradient) = (square(0, of: pass.scratch), square(1, of: pass.scratch))
    let threads = pass.context.threads
    for example in 0..<pass.input.rows {
      let input = pass.input[row: example].matrix(rows: context, columns: 3 * width)
      let outputGradient = pass.outputGradient.matrix[row: example].matrix(rows: context, columns: width)
      let inputGradient = inputGradient[row: example].matrix(rows: context, columns: 3 * width)
      for head in 0..<heads {
        let headGradient = outputGradient.columns(columns(head))
        attend(input, head: head, probabilities: probabilities, threads: threads)
        multiply(
          probabilities.matrix, transposed: true, by: headGradient, into: inputGradient.columns(columns(head, part: 2)),
          threads: threads)
        multiply(headGradient, by: input.columns(columns(head, part: 2)), byTransposed: true, into: gradient,
          threads: threads)
        gradient.becomeCausalSoftmaxGradient(probabilities: probabilities.matrix, scale: scale)
        multiply(
          gradient.matrix, by: input.columns(columns(head, part: 1)), into: inputGradient.columns(columns(head)),
          threads: threads)
        multiply(
          gradient.matrix, transposed: true, by: input.columns(columns(head)),
          into: inputGradient.columns(columns(head, part: 1)), threads: threads)
      }
    }
  }
}
