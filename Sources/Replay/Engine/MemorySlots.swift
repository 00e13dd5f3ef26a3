/// Slots in memory that hold states unchanged.
public struct MemorySlots: SlotStorage {
  private let slots: [StoredState]

  /// - Parameter stateCount: The length of a state, in floats.
  /// - Throws: `TensorError.outOfMemory`.
  public init(count: Int, stateCount: Int) throws {
    slots = try (0..<count).map { _ in try StoredState(count: stateCount) }
  }

  public func save(_ state: borrowing TrainingState, slot: Int) { slots[slot].write { $0.copy(from: state) } }

  public func load(slot: Int, into state: inout TrainingState) { slots[slot].read { state.copy(from: $0) } }

  public func release(slot: Int) {}
}
