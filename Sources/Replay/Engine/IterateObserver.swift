/// Observes iterates when the engine reaches them.
public protocol IterateObserver: Sendable {
  /// The workspace of the update map. Updates do not depend on what is left in it, so its memory can serve
  /// observations too.
  associatedtype Workspace: ~Copyable

  /// Called on the lane that reached the iterate. An error stops the replay.
  /// - Parameters:
  ///   - iterates: The iterates that this state is. Orders that apply the same batches meet in one state.
  ///   - replica: The plan's replica that the state belongs to.
  func observe(
    _ iterates: [Iterate], replica: Int, state: borrowing TrainingState, workspace: inout Workspace) throws

  /// Called when a replica's running average by rule number `index` of the engine has reached iterate n of forward
  /// order.
  func observeAverage(
    _ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout Workspace) throws
}

extension IterateObserver {
  /// By default running averages are not observed.
  public func observeAverage(
    _ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout Workspace) throws {}
}
