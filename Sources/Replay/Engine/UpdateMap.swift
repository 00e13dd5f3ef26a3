import Tensors

/// One training update. Pure: the same batch at the same position on the same bits gives the same bits.
///
/// A map may be a network on a data set or one line of arithmetic; to the planner and the engine they are the same.
///
///     /// θ ↦ (1 − η) θ + η x_j, the mean of a stream of numbers by SGD.
///     struct Mean: UpdateMap {
///       let numbers: [Float], rate: Float
///       let stateCount = 1
///       func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
///         state[0] += rate * (numbers[batch - 1] - state[0])
///       }
///     }
public protocol UpdateMap: Sendable {
  /// What an update needs besides the state: activations, a gathered batch. One a lane, reused by every update, so
  /// nothing in it may change what a later update gives.
  associatedtype Workspace: ~Copyable

  /// Length of the training state, in floats.
  var stateCount: Int { get }

  func makeWorkspace() throws -> Workspace

  /// Replaces `state` by T_batch(state).
  /// - Parameters:
  ///   - batch: the batch's number, 1, 2, …
  ///   - position: how many updates the state has had before this one (schedules, bias correction).
  ///   - state: the state, which the update changes.
  ///   - workspace: the lane's.
  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Workspace)
}

extension UpdateMap where Workspace == Void {
  public func makeWorkspace() {}
}
