import Tensors

extension Examples {
  /// The indices, in ascending order, of the examples that an evaluation on `most` of them uses. If `most` is nil or
  /// larger than the number of examples, these are all examples.
  ///
  /// The choice is random but fixed: it depends only on the size of the split, not on a run's seed. A smaller choice
  /// is a subset of a larger one.
  /// - Throws: `DatasetError.impossible` if `most` is not positive.
  public func evaluationIndices(atMost most: Int?) throws(DatasetError) -> [Int] {
    guard let most, most < count else { return Array(0..<count) }
    guard most > 0 else { throw .impossible("an evaluation on \(most) examples: it needs 1 or more") }
    let permutation = KeyedPermutation(count: count, source: RandomSource(seed: 0, purpose: .evaluation), index: 0)
    return (0..<most).map { permutation($0) }.sorted()
  }
}
