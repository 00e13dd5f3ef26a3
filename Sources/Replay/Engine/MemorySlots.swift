import Tensors

/// Slots in memory that hold states unchanged.
public struct MemorySlots: SlotStorage {
  private let slots: [StoredState]

  /// - Parameter map: Makes the states.
  /// - Throws: `TensorError.outOfMemory`, and `PagingError` where states are paged.
  public init(count: Int, for map: some UpdateMap) throws {
    slots = try (0..<count).map { _ in try StoredState(for: map) }
  }

  public func save(_ state: borrowing TrainingState, slot: Int) throws(PagingError) { try slots[slot].copy(from: state) }

  public func load(slot: Int, into state: inout TrainingState) throws(PagingError) { try slots[slot].copy(to: &state) }

  public func release(slot: Int) {}
}
