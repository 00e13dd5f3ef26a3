import Tensors

extension Examples {
  /// The examples, ascending, that an evaluation on `most` of them uses; all of them for nil or more than there are.
  ///
  /// They are a fixed random choice that depends on the split's size alone, not on a run's seed. A smaller choice is part
  /// of a larger one.
  /// - Throws: `DatasetError.impossible` when `most` is not positive.
  public func evaluationIndices(atMost most: Int?) throws(DatasetError) -> [Int] {
    guard let most, most < count else { return Array(0..<count) }
    guard most > 0 else { throw .impossible("an evaluation on \(most) examples: it needs 1 or more") }
    let permutation = KeyedPermutation(count: count, source: RandomSource(seed: 0, purpose: .evaluation), index: 0)
    return (0..<most).map { permutation($0) }.sorted()
  }
}
