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

/// Parameters, optimizer slots and persistent buffers, with the number of updates they have had.
public struct TrainingState: ~Copyable, Sendable {
  public var values: StateBuffer
  public var updateCount: Int

  public init(values: consuming StateBuffer, updateCount: Int = 0) {
    self.values = values
    self.updateCount = updateCount
  }

  public mutating func copy(from source: borrowing TrainingState) {
    values.copy(from: source.values)
    updateCount = source.updateCount
  }

  /// Equal digests mean equal bits: of every float, and of the update count.
  public var digest: Digest { Digest(of: values, updateCount: updateCount) }
}
