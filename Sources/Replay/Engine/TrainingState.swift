import Tensors

/// Parameters, optimizer slots and persistent buffers, with the number of updates they have had.
public struct TrainingState: ~Copyable, Sendable {
  public var values: StateBuffer
  public var updateCount: Int
  /// The mean loss over the batch of the last update, of the state before it, as the update came by it. It is no part of the state: nil
  /// where the update was made elsewhere, as of a state that was read from a file, or where nobody asked for it.
  public var trainingLoss: Double?

  public init(values: consuming StateBuffer, updateCount: Int = 0) {
    self.values = values
    self.updateCount = updateCount
  }

  public mutating func copy(from source: borrowing TrainingState) throws(PagingError) {
    try values.copy(from: source.values)
    updateCount = source.updateCount
    trainingLoss = source.trainingLoss
  }

  /// The digest of every float and of the update count. Equal digests mean equal bits.
  public var digest: Digest {
    get throws(PagingError) { try Digest(of: values, updateCount: updateCount) }
  }
}
