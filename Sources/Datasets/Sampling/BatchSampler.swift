import Tensors

/// Chooses the examples of batch j = 1, 2, … as a fixed function of the method, the seed and j. It is computed for
/// any j in any order, in a time that does not depend on j.
///
///     let sampler = try BatchSampler(method: .shuffle, seed: 1, exampleCount: 60_000, batchSize: 32)
///     var indices = [Int](repeating: 0, count: sampler.batchSize)
///     sampler.fill(&indices, batch: 5000)
public struct BatchSampler: Sendable {
  public enum Method: Sendable {
    /// Every example occurs once per epoch, in a different order in each epoch. Batches continue from one epoch into
    /// the next, so none is shorter than the others.
    case shuffle
    /// Each index is drawn independently, so an example may occur twice in a batch.
    case replacement
    /// Batches that were made elsewhere.
    case imported(ImportedBatches)
  }

  public let method: Method

  /// The number of examples in the data set.
  public let exampleCount: Int

  /// The number of examples per batch.
  public let batchSize: Int

  private var source: RandomSource

  /// - Throws: `DatasetError.impossible` if batches of this size can't be made from this many examples, and
  ///   `.damaged` if imported batches contain an example that does not exist.
  public init(method: Method, seed: UInt64, exampleCount: Int, batchSize: Int) throws(DatasetError) {
    guard batchSize > 0 else { throw .impossible("a batch of \(batchSize) examples: the batch size must be 1 or more") }
    guard batchSize <= exampleCount else {
      throw .impossible(
        "a batch of \(batchSize) is larger than the data set of \(exampleCount): take a smaller batch size")
    }
    if case .imported(let batches) = method { try batches.check(exampleCount: exampleCount, batchSize: batchSize) }
    self.method = method
    self.exampleCount = exampleCount
    self.batchSize = batchSize
    source = RandomSource(seed: seed, purpose: method.purpose)
  }

  /// The same sampler with another seed.
  public func with(seed: UInt64) -> BatchSampler {
    var other = self
    other.source = RandomSource(seed: seed, purpose: method.purpose)
    return other
  }

  /// The number of batches; nil if there is no end of them.
  public var batchCount: Int? {
    if case .imported(let batches) = method { batches.count } else { nil }
  }

  /// Overwrites `indices`, which has `batchSize` elements, with the examples of batch `batch`, counted from 1. This
  /// allocates no memory.
  public func fill(_ indices: inout [Int], batch: Int) {
    precondition(indices.count == batchSize, "\(indices.count) places for a batch of \(batchSize)")
    precondition(batch >= 1 && batch <= batchCount ?? .max, "there is no batch \(batch)")
    switch method {
    case .shuffle: fillShuffled(&indices, batch: batch)
    case .replacement:
      for row in 0..<batchSize { indices[row] = source.index(below: exampleCount, batch: batch, example: row) }
    case .imported(let batches): batches.fill(&indices, batch: batch)
    }
  }

  /// The permutations of all epochs form one stream of examples. Batch j is its part from (j − 1) · `batchSize` on.
  private func fillShuffled(_ indices: inout [Int], batch: Int) {
    var (epoch, position) = ((batch - 1) * batchSize).quotientAndRemainder(dividingBy: exampleCount)
    var permutation = KeyedPermutation(count: exampleCount, source: source, index: epoch)
    for row in 0..<batchSize {
      if position == exampleCount {
        epoch += 1
        position = 0
        permutation = KeyedPermutation(count: exampleCount, source: source, index: epoch)
      }
      indices[row] = permutation(position)
      position += 1
    }
  }
}

extension BatchSampler.Method {
  fileprivate var purpose: RandomSource.Purpose {
    if case .shuffle = self { .shuffling } else { .sampling }
  }
}
