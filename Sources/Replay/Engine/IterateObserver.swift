/// Looks at iterates as the engine reaches them.
public protocol IterateObserver: Sendable {
  /// That of the update map: an update leaves nothing in it, so its memory serves observations too.
  associatedtype Workspace: ~Copyable

  /// Called on the lane that reached the iterate. An error stops the replay.
  /// - Parameters:
  ///   - iterates: the iterates this state is; orders that apply the same batches meet in one state.
  ///   - replica: which of the plan's replicas it belongs to.
  ///   - state: the iterate.
  ///   - workspace: the lane's, in which an update leaves nothing.
  func observe(
    _ iterates: [Iterate], replica: Int, state: borrowing TrainingState, workspace: inout Workspace) throws

  /// Called when a replica's running average by the rule `index` of the engine's stands at iterate n of the averaged order.
  func observeAverage(
    _ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout Workspace) throws
}

extension IterateObserver {
  /// Averages are of no interest.
  public func observeAverage(
    _ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout Workspace) throws {}
}
