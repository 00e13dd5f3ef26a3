/// Stores states beyond the end of a replay. All lanes call it.
public protocol CheckpointStore: Sendable {
  /// Stores a state together with the replica's running averages, in the order of the rules; `averages` is empty if
  /// there are none. All are safe on disk when it returns.
  func save(_ state: borrowing TrainingState, averages: [StoredState], replica: Int, at point: PathPoint) throws

  /// Restores one of the states the planner was told of.
  /// - Parameter averages: Receive the running averages, if they were stored with the state; empty if none are
  ///   wanted.
  func restore(_ stored: Int, replica: Int, into state: inout TrainingState, averages: [StoredState]) throws
}
