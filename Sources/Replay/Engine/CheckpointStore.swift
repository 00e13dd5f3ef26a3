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
