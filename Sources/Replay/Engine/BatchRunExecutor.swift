import Tensors

/// Applies runs of batches to training states, in one workspace: whatever moves a state along a path, in training, recall,
/// rewinding or averaging, does it here.
public struct BatchRunExecutor<Map: UpdateMap>: ~Copyable {
  /// Between runs it may serve observations too.
  public var workspace: Map.Workspace
  /// Updates applied so far.
  public private(set) var updates = 0
  private let progress: ReplayProgress?

  /// - Parameters:
  ///   - map: makes the workspace, which any map of the same kind can use.
  ///   - progress: is told of every update.
  public init(for map: Map, progress: ReplayProgress? = nil) throws {
    workspace = try map.makeWorkspace()
    self.progress = progress
  }

  /// Applies the run's batches to `state`, first to last.
  /// - Throws: `CancellationError` between two updates if the surrounding task was cancelled; then the state is as far as its
  ///   update count says.
  public mutating func apply(_ run: BatchRun, of map: Map, to state: inout TrainingState) throws {
    try apply(run, of: map, to: &state, averages: [])
  }

  /// - Parameter averages: the state enters each of them after every update.
  mutating func apply(
    _ run: BatchRun, of map: Map, to state: inout TrainingState, averages: [RunningAverage]
  ) throws {
    for index in 0..<run.count {
      try Task.checkCancellation()
      map.apply(batch: run[index], position: state.updateCount, to: &state.values, workspace: &workspace)
      state.updateCount += 1
      updates += 1
      for average in averages { try average.add(state) }
      progress?.addUpdate()
    }
  }
}
