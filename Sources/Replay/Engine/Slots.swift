/// Where a saved state is kept.
public enum SlotTier: Hashable, Sendable {
  case memory
  case disk
}

/// A place for a state; each tier numbers its own 0, 1, …
struct Slot: Hashable, Sendable {
  let tier: SlotTier
  let number: Int
}

/// Keeps the states that are saved in one tier. A replay calls it from all its lanes.
public protocol SlotStorage: Sendable {
  /// Keeps a copy of `state` under this number, 0, 1, …, in place of what the slot held.
  func save(_ state: borrowing TrainingState, slot: Int) throws

  /// Overwrites `state`, which is as long as the saved one, with what the slot holds: the same bits, except where a user
  /// chose slots that round.
  func load(slot: Int, into state: inout TrainingState) throws

  /// What the slot holds is needed no more.
  func release(slot: Int) throws
}

/// What decides where a state is kept, in seconds. Memory slots cost nothing.
public struct SlotCosts: Hashable, Sendable {
  /// One update.
  public var step: Double
  /// Saving a state on disk.
  public var write: Double
  /// Loading a state from disk.
  public var read: Double
  /// Making the initial state.
  public var start: Double

  /// - Precondition: finite numbers, none below zero.
  public init(step: Double, write: Double = 0, read: Double = 0, start: Double = 0) {
    precondition([step, write, read, start].allSatisfy { $0.isFinite && $0 >= 0 }, "costs are finite and not negative")
    self.step = step
    self.write = write
    self.read = read
    self.start = start
  }
}
