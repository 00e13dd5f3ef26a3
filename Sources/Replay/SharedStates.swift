import Foundation
import Synchronization
import Tensors

/// A training state that several lanes may read: an initial state or a slot.
public final class StoredState: Sendable {
  private let state: Mutex<TrainingState>

  /// A state of `count` zeros.
  public init(count: Int) throws {
    state = Mutex(TrainingState(values: try StateBuffer(count: count)))
  }

  public init(_ state: consuming TrainingState) {
    self.state = Mutex(state)
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
  /// Made whenever it is wanted, where memory is scarce: the same values each time.
  case made(@Sendable (inout StateBuffer) throws -> Void)

  func write(to state: inout TrainingState) throws {
    switch self {
    case .kept(let stored):
      stored.read { state.copy(from: $0) }
    case .made(let make):
      try make(&state.values)
      state.updateCount = 0
    }
  }
}

/// The exponential average of the states along a path, each weighted by how recent it is.
final class RunningAverage: Sendable {
  let state: StoredState

  init(count: Int) throws {
    state = try StoredState(count: count)
  }

  /// Takes in the next state of the path. The weight (1 − β) / (1 − βⁿ) of the n-th makes this the exact weighted
  /// mean of all n, with no pull towards zero at the beginning (the correction of Kingma and Ba 2015, section 3).
  func add(_ state: borrowing TrainingState, decay: Double) {
    self.state.write { average in
      // The mean of one state is that state, whatever the average held before.
      guard state.updateCount > 1 else { return average.copy(from: state) }
      let weight = (1 - decay) / (1 - pow(decay, Double(state.updateCount)))
      average.values.move(toward: state.values, by: Float(weight))
      average.updateCount = state.updateCount
    }
  }
}

/// What lanes have in common during a replay.
struct SharedStates: Sendable {
  let slots: [StoredState]
  /// One a replica; empty where nothing is averaged.
  let averages: [RunningAverage]
}

/// Keeps states beyond a replay's end. Called from all lanes.
public protocol CheckpointStore: Sendable {
  /// Stores a state, and the replica's running average with it if there is one. When it returns, both are safe.
  func save(_ state: borrowing TrainingState, average: StoredState?, replica: Int, at point: PathPoint) throws

  /// Brings back one of the states the plan was told of.
  /// - Parameter average: takes the running average, if one was stored with the state.
  func restore(_ stored: Int, replica: Int, into state: inout TrainingState, average: StoredState?) throws
}
