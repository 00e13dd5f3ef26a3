import Tensors

/// Applies runs of batches to training states, using one workspace. Training, recall, rewinding and averaging all
/// move states along paths with it.
public struct BatchRunExecutor<Map: UpdateMap>: ~Copyable {
  /// The workspace, which may also serve observations between runs of batches.
  public var workspace: Map.Workspace
  /// The number of updates applied so far.
  public private(set) var updates = 0
  /// The time in seconds that running averages have taken, and how often a state was added to one.
  private(set) var averagingSeconds = 0.0
  private(set) var averagedStates = 0
  private let progress: ReplayProgress?

  /// - Parameters:
  ///   - map: The map that makes the workspace. Other maps of the same problem can use it too.
  ///   - progress: Counts every update.
  public init(for map: Map, progress: ReplayProgress? = nil) throws {
    workspace = try map.makeWorkspace()
    self.progress = progress
  }

  /// Applies the batches of the run to `state`, from first to last.
  /// - Throws: `CancellationError` between two updates if the surrounding task was cancelled. The state then has as
  ///   many updates as its update count says. After any other error, which is the map's, the state must not be used.
  public mutating func apply(_ run: BatchRun, of map: Map, to state: inout TrainingState) throws {
    try apply(run, of: map, to: &state, averages: [], measuresLoss: false)
  }

  /// - Parameters:
  ///   - averages: The running averages that the state is added to after every update.
  ///   - measuresLoss: Whether the state is given the training loss of the last update.
  mutating func apply(
    _ run: BatchRun, of map: Map, to state: inout TrainingState, averages: [RunningAverage], measuresLoss: Bool
  ) throws {
    state.trainingLoss = nil
    for index in 0..<run.count {
      try Task.checkCancellation()
      if measuresLoss && index == run.count - 1 {
        state.trainingLoss = try map.applyMeasuringLoss(
          batch: run[index], position: state.updateCount, to: &state.values, workspace: &workspace)
      } else {
        try map.apply(batch: run[index], position: state.updateCount, to: &state.values, workspace: &workspace)
      }
      state.updateCount += 1
      updates += 1
      if !averages.isEmpty {
        let begin = ContinuousClock.now
        try RunningAverage.add(state, to: averages)
        averagingSeconds += (.now - begin) / .seconds(1)
        averagedStates += averages.count
      }
      progress?.addUpdate()
    }
  }
}
