/// The kind of storage that holds a saved state.
public enum SlotTier: Hashable, Sendable {
  case memory
  case disk
}

/// A place for a state. The slots of each tier are numbered 0, 1, …
struct Slot: Hashable, Sendable {
  let tier: SlotTier
  let number: Int
}

/// Holds the states saved in one tier. All lanes of a replay call it.
public protocol SlotStorage: Sendable {
  /// Stores a copy of `state` in slot 0, 1, …, replacing what the slot held.
  func save(_ state: borrowing TrainingState, slot: Int) throws

  /// Overwrites `state`, which is as long as the saved one, with the content of the slot. The bits are the same,
  /// unless the user chose slots that round.
  func load(slot: Int, into state: inout TrainingState) throws

  /// Tells that the content of the slot is no longer needed.
  func release(slot: Int) throws
}

/// The costs, in seconds, that determine where a state is kept. Memory slots cost nothing.
public struct SlotCosts: Hashable, Sendable {
  /// The time of one update.
  public var step: Double
  /// The time to save a state on disk.
  public var write: Double
  /// The time to load a state from disk.
  public var read: Double
  /// The time to make the initial state.
  public var start: Double

  /// - Precondition: The costs are finite and not negative.
  public init(step: Double, write: Double = 0, read: Double = 0, start: Double = 0) {
    precondition([step, write, read, start].allSatisfy { $0.isFinite && $0 >= 0 }, "costs are finite and not negative")
    self.step = step
    self.write = write
    self.read = read
    self.start = start
  }
}
