import Tensors

/// y[t] = token[x[t]] + position[t]: what a character is and where it stands, each a learned vector (Radford et al. 2019).
///
/// x holds whole numbers, [context]; y is [context, width]. The tensors are nanoGPT's `wte.weight`, vocabulary × width,
/// and `wpe.weight`, context × width.
public struct Embedding: Layer {
  public let vocabulary: Int
  public let width: Int

  /// How many vectors are updated together.
  private static let updated = 2048

  public init(vocabulary: Int, width: Int) {
    self.vocabulary = vocabulary
    self.width = width
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    guard inputShape.count == 1, vocabulary > 0, width > 0 else {
      throw .shape(
        """
        an embedding of \(vocabulary) characters in vectors of \(width) can't take examples of shape \(inputShape): it needs \
        rows of numbers of characters, and 1 or more of each
        """)
    }
    let context = inputShape[0]
    let token = builder.add("wte.weight", shape: [vocabulary, width], initialization: .normal(deviation: 0.02))
    builder.readInParts(token, partCount: Self.updated * width)
    return PlacedEmbedding(
      context: context, vocabulary: vocabulary, width: width, token: token, updated: Self.updated,
      position: builder.add("wpe.weight", shape: [context, width], initialization: .normal(deviation: 0.02)))
  }
}

private struct PlacedEmbedding: PlacedLayer {
  let context: Int
  let vocabulary: Int
  let width: Int
  let token: Region
  let updated: Int
  let position: Region

  var outputShape: [Int] { [context, width] }
  var memory: LayerMemory { LayerMemory(readsOutput: false, overwritesGradient: false) }
  var batchParts: BatchParts { .any }

  func forward(_ pass: ForwardPass) throws(PagingError) {
    let token = pass.tensor(token).matrix(rows: vocabulary, columns: width)
    let position = pass.tensor(position).matrix(rows: context, columns: width)
    let output = pass.output.rearranged(columns: width)
    func vector(_ row: Int) -> Region {
      Region(offset: self.token.offset + number(row, in: pass.input) * width, count: width)
    }
    try pass.forEachPart(of: output.rows, length: 64, needing: { $0.map(vector) }) { rows in
      for row in rows {
        output[row: row].copy(from: token[row: number(row, in: pass.input)])
        output[row: row].add(position[row: row % context])
      }
    }
  }

  /// ∂token[v] = Σ ∂y[t] where x[t] = v, ∂position[t] = Σ ∂y[t] over the examples. Numbers have no gradient.
  func backward(_ pass: BackwardPass) throws(PagingError) {
    let outputGradient = pass.outputGradient.matrix.rearranged(columns: width)
    try pass.takeGradients(of: token, rows: vocabulary, inPartsOf: updated) { numbers, target in
      let rows = target.rows(count: numbers.count, columns: width)
      for row in 0..<outputGradient.rows {
        let number = number(row, in: pass.input)
        guard numbers.contains(number) else { continue }
        rows[row: number - numbers.lowerBound].assign(target.scale, times: outputGradient[row: row], plus: 1)
      }
    }
    pass.takeGradient(of: position) { target in
      let rows = target.rows(count: context, columns: width)
      for row in 0..<outputGradient.rows {
        rows[row: row % context].assign(target.scale, times: outputGradient[row: row], plus: 1)
      }
    }
  }

  /// The number at place `row` of the batch.
  private func number(_ row: Int, in input: Matrix) -> Int {
    let number = Int(input[row: row / context][row % context])
    precondition(number >= 0 && number < vocabulary, "a character outside the vocabulary")
    return number
  }
}

extension GradientTarget {
  /// The values as rows to which parts of the gradient are added one by one.
  fileprivate func rows(count: Int, columns: Int) -> MutableMatrix {
    if keep == 0 { values.fill(0) } else if keep != 1 { values.scale(by: keep) }
    return values.matrix(rows: count, columns: columns)
  }
}
