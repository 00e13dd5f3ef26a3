import Datasets
import Replay
import Storage
import Tensors

/// An iterate brought back.
public struct ReplayedIterate: Sendable {
  /// The network's, under PyTorch's names, in the order of the training state.
  public let tensors: [NamedTensor]
  public let digest: Digest
  /// On the run's test examples.
  public let testLoss: Double
  public let testAccuracy: Double
  /// Updates the replay applied.
  public let gradientEvaluations: Int
  /// The checkpoint it began at; nil for the initial state.
  public let checkpoint: CheckpointRecord?
  /// Whether the run had observed it, so that its bits were compared.
  public let wasObserved: Bool
}

extension TrainingRun {
  /// Loads or replays one iterate of any order, observed by the run or not, from the nearest stored state on its path.
  /// - Parameters:
  ///   - n: 0 is the initial state.
  ///   - seed: one of the run's.
  /// - Throws: `RunError.damaged` if the run observed the iterate and had other bits.
  public func iterate(
    order: CompositionOrder, n: Int, seed: Int, progress: ReplayProgress = ReplayProgress()
  ) async throws -> ReplayedIterate {
    let iterate = try await replayedIterate(order: order, n: n, seed: seed, progress: progress)
    try check(iterate.digest, observedAs: order.description, n: n, seed: seed)
    return iterate
  }

  /// - Throws: `RunError.damaged` if the run observed an iterate of a series with another digest than it has now.
  func check(_ digest: Digest, observedAs series: String, n: Int, seed: Int) throws {
    let observed = try database.observation(seed: seed, series: series, n: n)
    if let observed, observed.digest != digest, hasSameNumerics {
      throw RunError.damaged(
        """
        iterate \(n) of \(series) was observed with the digest \(observed.digest), but its replay has \
        \(digest): \(folder.databasePath) is damaged, or this machine's memory or processor is; \
        'backtrail verify' tells more
        """)
    }
  }

  func replayedIterate(
    order: CompositionOrder, n: Int, seed: Int, progress: ReplayProgress = ReplayProgress()
  ) async throws -> ReplayedIterate {
    let replica = try replica(ofSeed: seed)
    let (state, evaluations, checkpoint) = try await bringBack(
      order, n: n, replica: replica, records: try storedStates()[replica], progress: progress)
    let isObserved = try database.observation(seed: seed, series: order.description, n: n) != nil
    let map = experiment.maps[replica]
    var workspace = try map.makeWorkspace()
    return state.read { state in
      let measured = map.evaluate(state.values, workspace: &workspace)
      let (loss, accuracy) = (measured[0], measured[1])
      return ReplayedIterate(
        tensors: experiment.layout.tensors.map {
          NamedTensor(name: $0.name, shape: $0.shape, values: experiment.layout.values(of: $0, in: state.values))
        }
          + experiment.layout.counters.map {
            NamedTensor(name: $0, shape: [], values: [Float(state.updateCount)], element: .int64)
          },
        digest: state.digest, testLoss: loss, testAccuracy: accuracy, gradientEvaluations: evaluations,
        checkpoint: checkpoint, wasObserved: isObserved)
    }
  }

  /// The state of an iterate, from the nearest of the initial state and `records`.
  /// - Returns: the state, the updates it took, and the record it began at.
  func bringBack(
    _ order: CompositionOrder, n: Int, replica: Int, records: [CheckpointRecord],
    progress: ReplayProgress = ReplayProgress()
  ) async throws -> (StoredState, gradientEvaluations: Int, CheckpointRecord?) {
    _ = try experiment.sequence(of: order, n)
    let initial = StoredState(try experiment.initialState(replica: replica))
    guard n > 0 else { return (initial, 0, nil) }
    let plan = try recallPlan(order, n: n, records: records)
    let keeper = StateKeeper(kept: try StoredState(count: experiment.stateCount))
    let engine = ReplayEngine(
      maps: [experiment.maps[replica]], initialStates: [.kept(initial)], observer: keeper,
      checkpoints: StoredStateReader(folder: folder, records: records))
    let evaluations = try await engine.run(plan, lanes: 1, progress: progress).gradientEvaluations
    return (keeper.kept, evaluations, plan.restoredStates.first.map { records[$0.stored] })
  }

  /// How one iterate is brought back from the nearest of the initial state and `records`.
  /// - Parameter averageCount: how many running averages come with it, of forward order.
  func recallPlan(
    _ order: CompositionOrder, n: Int, records: [CheckpointRecord], averageCount: Int = 0
  ) throws -> ReplayPlan {
    // The iterate's order comes first; those follow on whose paths there are checkpoints, searches for a τ among them.
    let others = Set(records.map(\.series)).subtracting([order.description]).sorted()
    let orders = [order] + (try others.map(order(ofSeries:)))
    let places = Dictionary(others.enumerated().map { ($1, $0 + 1) }) { first, _ in first }
    var stored = ReplicaProgress()
    stored.stored = records.map { $0.point(order: places[$0.series] ?? 0) }
    var planner = ReplayPlanner(orders: orders, points: [n])
    planner.observedOrders = 0..<1
    planner.replicas = [stored]
    planner.averageCount = averageCount
    return try planner.plan()
  }
}
