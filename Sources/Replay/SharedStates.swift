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

/// What lanes have in common during a replay.
struct SharedStates: Sendable {
  let slots: [StoredState]
  /// By replica, then by rule; empty where nothing is averaged.
  let averages: [[RunningAverage]]
}

/// Keeps states beyond a replay's end. Called from all lanes.
public protocol CheckpointStore: Sendable {
  /// Stores a state, and with it the replica's running averages, by rule; empty for none. When it returns, all are safe.
  func save(_ state: borrowing TrainingState, averages: [StoredState], replica: Int, at point: PathPoint) throws

  /// Brings back one of the states the plan was told of.
  /// - Parameters:
  ///   - stored: its place among the replica's stored states.
  ///   - replica: which of the plan's replicas it belongs to.
  ///   - state: takes it.
  ///   - averages: take the running averages, if they were stored with the state; empty where none are wanted.
  func restore(_ stored: Int, replica: Int, into state: inout TrainingState, averages: [StoredState]) throws
}
