import Tensors

/// softmax(q kᵀ / √d) v for each head, where a position sees itself and those before it (Vaswani et al. 2017).
///
/// x is [context, 3 · width]: queries, keys and values of all heads side by side, as nanoGPT's `c_attn` makes them; y is
/// [context, width], the heads side by side; d = width / heads.
///
/// Queries are taken in blocks of 128 positions, which need the keys and values up to the end of the block only. The scores
/// of one block, head and example are in memory at a time, and the backward pass computes them again, so that memory grows
/// with the context and not with its square.
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

  /// Positions in a block of queries. With 128 of them every bit is that of products with the whole context: a product
  /// with a transposed matrix, as in ∂k and ∂v, adds its terms up in blocks of so many, each from zero; and the terms
  /// that the other products leave out behind a block are zeros. That holds for finite values, but for the sign of a sum
  /// that underflows to zero.
  private static let block = 128

  var outputShape: [Int] { [context, width] }

  /// The probabilities of one block of one head of one example, and their gradient.
  var memory: LayerMemory {
    LayerMemory(
      forwardScratch: blockCount, backwardScratch: 2 * blockCount, readsOutput: false, overwritesGradient: false)
  }

  var batchParts: BatchParts { .any }
  /// Two products with the half of the positions' square that is not masked.
  var multiplyAdds: Double { Double(context) * Double(context) * Double(width) }

  /// The most floats that a block's probabilities take.
  private var blockCount: Int { min(Self.block, context) * context }
  private var depth: Int { width / heads }
  private var scale: Float { 1 / Float(depth).squareRoot() }

  /// The columns of one head in part `part` of (queries, keys, values).
  private func columns(_ head: Int, part: Int = 0) -> Range<Int> {
    let start = part * width + head * depth
    return start..<start + depth
  }

  /// Calls `body` with the positions of each block of queries, first to last.
  private func forBlocks(_ body: (Range<Int>) -> Void) {
    for first in stride(from: 0, to: context, by: Self.block) { body(first..<min(first + Self.block, context)) }
  }

  /// Makes the probabilities with which the positions in `block` look at those before its end, for one head of one example.
  /// - Parameters:
  ///   - input: positions × 3 · width.
  ///   - scratch: `blockCount` floats.
  /// - Returns: a row for each position of the block, a column for each position before its end.
  private func attend(
    _ input: Matrix, head: Int, block: Range<Int>, scratch: MutableVector, products: Products
  ) -> MutableMatrix {
    let probabilities = scratch.matrix(rows: block.count, columns: block.upperBound)
    let keys = input.columns(columns(head, part: 1)).rows(0..<block.upperBound)
    multiply(
      input.columns(columns(head)).rows(block), by: keys, byTransposed: true, into: probabilities, products: products)
    probabilities.becomeCausalSoftmax(scale: scale)
    return probabilities
  }

  func forward(_ pass: ForwardPass) {
    let products = pass.context.products
    for example in 0..<pass.input.rows {
      let input = pass.input[row: example].matrix(rows: context, columns: 3 * width)
      let output = pass.output[row: example].matrix(rows: context, columns: width)
      for head in 0..<heads {
        forBlocks { block in
          let probabilities = attend(input, head: head, block: block, scratch: pass.scratch, products: products)
          multiply(
            probabilities.matrix, by: input.columns(columns(head, part: 2)).rows(0..<block.upperBound),
            into: output.columns(columns(head)).rows(block), products: products)
        }
      }
    }
  }

  /// With P the probabilities: ∂v = Pᵀ ∂y, ∂P = ∂y vᵀ, ∂S by the softmax, ∂q = ∂S k, ∂k = ∂Sᵀ q. Each block of queries has
  /// its own ∂q, and adds to ∂k and ∂v.
  func backward(_ pass: BackwardPass) {
    guard let inputGradient = pass.inputGradient else { return }
    let products = pass.context.products
    let (first, second) = (Region(offset: 0, count: blockCount), Region(offset: blockCount, count: blockCount))
    for example in 0..<pass.input.rows {
      let input = pass.input[row: example].matrix(rows: context, columns: 3 * width)
      let outputGradient = pass.outputGradient.matrix[row: example].matrix(rows: context, columns: width)
      let inputGradient = inputGradient[row: example].matrix(rows: context, columns: 3 * width)
      for head in 0..<heads {
        let (queries, keys, values) = (columns(head), columns(head, part: 1), columns(head, part: 2))
        // The first block writes what the others add to.
        for row in min(Self.block, context)..<context {
          inputGradient.columns(keys)[row: row].fill(0)
          inputGradient.columns(values)[row: row].fill(0)
        }
        forBlocks { block in
          let beta: Float = block.lowerBound == 0 ? 0 : 1
          let seen = 0..<block.upperBound
          let headGradient = outputGradient.columns(columns(head)).rows(block)
          let probabilities = attend(
            input, head: head, block: block, scratch: pass.scratch.part(first), products: products)
          multiply(
            probabilities.matrix, transposed: true, by: headGradient, into: inputGradient.columns(values).rows(seen),
            beta: beta, products: products)
          let gradient = pass.scratch.part(second).matrix(rows: block.count, columns: block.upperBound)
          multiply(
            headGradient, by: input.columns(values).rows(seen), byTransposed: true, into: gradient, products: products)
          gradient.becomeCausalSoftmaxGradient(probabilities: probabilities.matrix, scale: scale)
          multiply(
            gradient.matrix, by: input.columns(keys).rows(seen), into: inputGradient.columns(queries).rows(block),
            products: products)
          multiply(
            gradient.matrix, transposed: true, by: input.columns(queries).rows(block),
            into: inputGradient.columns(keys).rows(seen), beta: beta, products: products)
        }
      }
    }
  }
}
