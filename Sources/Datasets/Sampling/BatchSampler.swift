import Tensors

/// Which examples batch j = 1, 2, … holds: a fixed function of the method, the seed and j, computed for any j in any
/// order, in time that does not depend on j.
///
///     let sampler = try BatchSampler(method: .shuffle, seed: 1, exampleCount: 60_000, batchSize: 32)
///     var indices = [Int](repeating: 0, count: sampler.batchSize)
///     sampler.fill(&indices, batch: 5000)
public struct BatchSampler: Sendable {
  public enum Method: Sendable {
    /// Every example once an epoch, each epoch in an order of its own. Batches go on from one epoch into the next, so
    /// none is short.
    case shuffle
    /// Each index drawn alone, so that an example may occur twice in a batch.
    case replacement
    /// Batches from elsewhere.
    case imported(ImportedBatches)
  }

  public let method: Method

  /// Examples in the data set.
  public let exampleCount: Int

  /// Examples in a batch.
  public let batchSize: Int

  private var source: RandomSource

  /// - Throws: `DatasetError.impossible` when batches of this size can't be had from this many examples;
  ///   `.damaged` when imported batches name an example that isn't there.
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

  /// The same sampler of another seed.
  public func with(seed: UInt64) -> BatchSampler {
    var other = self
    other.source = RandomSource(seed: seed, purpose: method.purpose)
    return other
  }

  /// How many batches there are; nil where they never end.
  public var batchCount: Int? {
    if case .imported(let batches) = method { batches.count } else { nil }
  }

  /// Overwrites `indices`, of length `batchSize`, with the examples of batch `batch`, counted from 1. Allocates nothing.
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

  /// The epochs' permutations make one stream of examples; batch j is its part from (j − 1) · `batchSize` on.
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
