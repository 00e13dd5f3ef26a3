import Tensors

/// y = x Wᵀ for each position, where W, vocabulary × width, is the matrix of an `Embedding` before it: logits of the next token by the
/// vectors of all tokens (Press and Wolf 2017, "Using the output embedding to improve language models").
///
/// x is [context, width], y [context, vocabulary]. As a network's last layer before a `ClassLoss` it can work without all of its
/// logits, chunk by chunk of the vocabulary.
public struct TiedHead: Layer {
  public let embedding: String
  public let vocabulary: Int

  /// - Parameters:
  ///   - embedding: the name of the embedding's matrix in the state, such as `transformer.wte.weight`.
  ///   - vocabulary: its rows.
  public init(to embedding: String, vocabulary: Int) {
    self.embedding = embedding
    self.vocabulary = vocabulary
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    guard inputShape.count == 2, vocabulary > 0 else {
      throw .shape("a tied head needs positions × channels and a vocabulary, not \(inputShape) and \(vocabulary)")
    }
    return PlacedTiedHead(
      vocabulary: vocabulary, width: inputShape[1], outputShape: [inputShape[0], vocabulary],
      weight: try builder.tie(to: embedding, shape: [vocabulary, inputShape[1]]))
  }
}

struct PlacedTiedHead: PlacedLayer {
  let vocabulary: Int
  let width: Int
  let outputShape: [Int]
  /// W, vocabulary × width.
  let weight: Region

  /// Classes whose logits are made together where not all of them are there at once: a multiple of the blocks in which losses
  /// and products add their terms up, so that no bit depends on it.
  static let chunk = 2 * LogitStatistics.block

  var memory: LayerMemory { LayerMemory(readsOutput: false, overwritesGradient: false) }
  var batchParts: BatchParts { .sums(rowsPerExample: outputShape[0]) }
  var multiplyAdds: Double { Double(width) * outputShape.reduce(1) { $0 * Double($1) } }

  func forward(_ pass: ForwardPass) throws(PagingError) {
    let input = pass.input.rearranged(columns: width)
    let output = pass.output.rearranged(columns: vocabulary)
    try forEachChunk(pass) { classes in
      makeLogits(
        of: classes, input, weights: pass.tensor(rows(classes)), into: output.columns(classes), products: pass.context.products)
    }
  }

  /// Calls `body` with one chunk of classes after the other, while their rows of W are in memory. Logits are always made so, since not
  /// every library gives a part of a product the bits of the whole.
  func forEachChunk(_ pass: ForwardPass, _ body: (Range<Int>) -> Void) throws(PagingError) {
    try pass.forEachPart(of: vocabulary, length: Self.chunk, needing: { [rows($0)] }) { classes in
      // Where all of the state is in memory, all classes come at once.
      for first in stride(from: classes.lowerBound, to: classes.upperBound, by: Self.chunk) {
        body(first..<min(first + Self.chunk, classes.upperBound))
      }
    }
  }

  /// - Parameters:
  ///   - input: positions × width.
  ///   - weights: the classes' rows of W.
  ///   - logits: positions × classes.
  func makeLogits(of classes: Range<Int>, _ input: Matrix, weights: Vector, into logits: MutableMatrix, products: Products) {
    multiply(
      input, by: weights.matrix(rows: classes.count, columns: width), byTransposed: true, into: logits, products: products)
  }

  /// The region of some classes' rows of W.
  func rows(_ classes: Range<Int>) -> Region {
    Region(offset: weight.offset + classes.lowerBound * width, count: classes.count * width)
  }

  /// ∂x = ∂y W, then ∂W = ∂yᵀ x.
  func backward(_ pass: BackwardPass) throws(PagingError) {
    let outputGradient = pass.outputGradient.matrix.rearranged(columns: vocabulary)
    let input = pass.input.rearranged(columns: width)
    let inputGradient = pass.inputGradient?.rearranged(columns: width)
    try pass.takeGradients(of: weight, rows: vocabulary, inPartsOf: Self.chunk) { classes, target in
      takeGradient(
        outputGradient.columns(classes), from: classes.lowerBound, weights: pass.tensor(rows(classes)), input: input, to: inputGradient,
        target, products: pass.context.products)
    }
  }

  /// The part of a chunk of classes in both gradients.
  /// - Parameters:
  ///   - gradient: by the chunk's logits: positions × classes.
  ///   - first: the chunk's first class.
  ///   - weights: its rows of W.
  ///   - input: positions × width.
  ///   - inputGradient: takes the gradient by the input, chunk after chunk.
  func takeGradient(
    _ gradient: Matrix, from first: Int, weights: Vector, input: Matrix, to inputGradient: MutableMatrix?,
    _ target: GradientTarget, products: Products
  ) {
    if let inputGradient {
      multiply(
        gradient, by: weights.matrix(rows: gradient.columns, columns: width), into: inputGradient, beta: first == 0 ? 0 : 1,
        products: products)
    }
    multiply(
      gradient, transposed: true, by: input, into: target.values.matrix(rows: gradient.columns, columns: width),
      alpha: target.scale, beta: target.keep, products: products)
  }
}
