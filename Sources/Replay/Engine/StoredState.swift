import Tensors

/// A training state that several lanes may read: an initial state or the content of a slot.
public final class StoredState: Sendable {
  private let state: Lock<TrainingState>

  /// Makes a state of `count` zeros in memory.
  public init(count: Int) throws {
    state = Lock(TrainingState(values: try StateBuffer(count: count)))
  }

  /// Makes a state of zeros as the map's states are.
  public init(for map: some UpdateMap) throws {
    state = Lock(TrainingState(values: try map.makeState()))
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

  /// Overwrites it with `other`.
  public func copy(from other: borrowing TrainingState) throws(PagingError) {
    try write { (state) throws(PagingError) in try state.copy(from: other) }
  }

  /// Overwrites `other` with it.
  public func copy(to other: inout TrainingState) throws(PagingError) {
    try read { (state) throws(PagingError) in try other.copy(from: state) }
  }

  /// The digest of the state.
  public var digest: Digest {
    get throws(PagingError) { try read { (state) throws(PagingError) in try state.digest } }
  }
}

/// The state where a replay starts.
public enum InitialState: Sendable {
  /// A state that stays in memory.
  case kept(StoredState)
  /// A state in a slot that may hold fewer bits than the state had. The replay starts from the slot's content.
  case slot(any SlotStorage, Int)
  /// A state that is made anew whenever it is needed, to save memory. The closure must give the same values each
  /// time.
  case made(@Sendable (inout StateBuffer) throws -> Void)

  func write(to state: inout TrainingState) throws {
    switch self {
    case .kept(let stored):
      try stored.copy(to: &state)
    case .slot(let storage, let slot):
      try storage.load(slot: slot, into: &state)
    case .made(let make):
      try make(&state.values)
      (state.updateCount, state.trainingLoss) = (0, nil)
    }
  }
}
