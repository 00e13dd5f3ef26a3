import Tensors

/// Parameters, optimizer slots and persistent buffers, with the number of updates they have had.
public struct TrainingState: ~Copyable, Sendable {
  public var values: StateBuffer
  public var updateCount: Int

  public init(values: consuming StateBuffer, updateCount: Int = 0) {
    self.values = values
    self.updateCount = updateCount
  }

  public mutating func copy(from source: borrowing TrainingState) throws(PagingError) {
    try values.copy(from: source.values)
    updateCount = source.updateCount
  }

  /// The digest of every float and of the update count. Equal digests mean equal bits.
  public var digest: Digest {
    get throws(PagingError) { try Digest(of: values, updateCount: updateCount) }
  }
}
