import Tensors

/// A training state that several lanes may read: an initial state or a slot.
public final class StoredState: Sendable {
  private let state: Lock<TrainingState>

  /// A state of `count` zeros.
  public init(count: Int) throws {
    state = Lock(TrainingState(values: try StateBuffer(count: count)))
  }

  public init(_ state: consuming TrainingState) {
    self.state = Lock(state)
  }

  public func read<Value: Sendable, E: Error>(
    _ body: (borrowing TrainingState) throws(E) -> Value
  ) throws(E) -> Value {
    try state.withLock { (state: inout sending TrainingState) throws(E) in try body(state) }
  }

  public func write<E: Error>(_ body: (inout TrainingState) throws(E) -> Void) throws(E) {
    try state.withLock { (state: inout sending TrainingState) throws(E) in try body(&state) }
  }
}

/// Where a replay starts.
public enum InitialState: Sendable {
  /// In memory.
  case kept(StoredState)
  /// In a slot that holds fewer bits than a state has: what it gives back is the start.
  case slot(any SlotStorage, Int)
  /// Made whenever it is wanted, where memory is scarce: the same values each time.
  case made(@Sendable (inout StateBuffer) throws -> Void)

  func write(to state: inout TrainingState) throws {
    switch self {
    case .kept(let stored):
      stored.read { state.copy(from: $0) }
    case .slot(let storage, let slot):
      try storage.load(slot: slot, into: &state)
    case .made(let make):
      try make(&state.values)
      state.updateCount = 0
    }
  }
}
