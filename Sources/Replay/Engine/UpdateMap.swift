import Tensors

/// One training update. It must be pure: the same batch at the same position on the same bits gives the same bits.
///
/// A map may be a network on a data set or one line of arithmetic; the planner and the engine make no difference.
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
  /// What an update needs besides the state, such as activations and a gathered batch. Each lane has one and reuses
  /// it for every update, so its contents must not influence later updates.
  associatedtype Workspace: ~Copyable

  /// The length of the training state, in floats.
  var stateCount: Int { get }

  /// How many of the state's first floats are numbers, by default all. Those behind may be anything in 32 bits, such as optimizer slots
  /// in codes, and only their bits count: nothing rounds them, and an average of states has those of the last state.
  var numberCount: Int { get }

  func makeWorkspace() throws -> Workspace

  /// Makes a training state of zeros. By default all of it is in memory. A map whose states are larger than that makes paged ones,
  /// and holds what it works on; then all states of a run are: those of lanes, in slots, of averages, and initial ones.
  func makeState() throws -> StateBuffer

  /// Replaces `state` by T_batch(state). A number of the state that is not finite must stay so: runs do not compute what comes of a
  /// state with such a number.
  /// - Parameters:
  ///   - batch: The number of the batch, counted from 1.
  ///   - position: The number of updates the state has had before this one, for schedules and bias correction.
  /// - Throws: Errors of what lies outside of the process, such as the data or the file of a paged state. The state is not used any
  ///   more then.
  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Workspace) throws

  /// The same update, with the same bits, where the loss is wanted that it came by on the way.
  /// - Returns: The mean loss over the examples of the batch, of the state before the update; nil, the default, if there is none.
  func applyMeasuringLoss(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Workspace) throws -> Double?
}

extension UpdateMap {
  public func applyMeasuringLoss(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Workspace) throws -> Double? {
    try apply(batch: batch, position: position, to: &state, workspace: &workspace)
    return nil
  }

  public var numberCount: Int { stateCount }

  public func makeState() throws -> StateBuffer { try StateBuffer(count: stateCount) }
}

extension UpdateMap where Workspace == Void {
  public func makeWorkspace() {}
}
