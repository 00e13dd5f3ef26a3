import Tensors

/// Counts the states saved to and loaded from slots, and the largest number of bytes held at once.
public final class SlotMeter: SlotStorage {
  public struct Use: Equatable, Sendable {
    public var saves = 0
    public var loads = 0
    /// The largest total size of the states held at once; `peakSlots` is their largest number.
    public var peakBytes = 0
    public var peakSlots = 0
    fileprivate var held: [Int: Int] = [:]
    fileprivate var bytes = 0
  }

  private let slots: any SlotStorage
  private let size: @Sendable (Int) throws -> Int
  private let counted = Lock(Use())

  public var use: Use { counted.withLock { $0 } }

  /// - Parameter size: The size in bytes of a slot's content, called after a state has been saved there.
  public init(_ slots: any SlotStorage, size: @escaping @Sendable (_ slot: Int) throws -> Int) {
    self.slots = slots
    self.size = size
  }

  public func save(_ state: borrowing TrainingState, slot: Int) throws {
    try slots.save(state, slot: slot)
    let bytes = try size(slot)
    counted.withLock { use in
      use.bytes += bytes - (use.held.updateValue(bytes, forKey: slot) ?? 0)
      use.saves += 1
      use.peakBytes = max(use.peakBytes, use.bytes)
      use.peakSlots = max(use.peakSlots, use.held.count)
    }
  }

  public func load(slot: Int, into state: inout TrainingState) throws {
    try slots.load(slot: slot, into: &state)
    counted.withLock { $0.loads += 1 }
  }

  public func release(slot: Int) throws {
    try slots.release(slot: slot)
    counted.withLock { $0.bytes -= $0.held.removeValue(forKey: slot) ?? 0 }
  }
}
