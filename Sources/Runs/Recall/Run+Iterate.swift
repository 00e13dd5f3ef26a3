import Formats
import Replay
import Tensors

/// An iterate brought back.
public struct ReplayedIterate: Sendable {
  /// Under the layout's names, in the order of the training state.
  public let tensors: [NamedTensor]
  public let digest: Digest
  public let measurements: Measurements
  /// Updates the replay applied.
  public let gradientEvaluations: Int
  /// The checkpoint it began at; nil for the initial state.
  public let checkpoint: CheckpointRecord?
  /// Whether the run had observed it, so that its bits were compared.
  public let wasObserved: Bool
}

extension Run {
  /// Loads or replays one iterate of any order, observed by the run or not, from the nearest stored state on its path.
  /// - Parameters:
  ///   - order: whose iterate it is; any, whether the run observes it or not.
  ///   - n: 0 is the initial state.
  ///   - seed: one of the run's; nil for its first.
  ///   - progress: told of the updates of the replay.
  /// - Throws: `RunError.damaged` if the run observed the iterate and had other bits.
  public func iterate(
    _ order: CompositionOrder, _ n: Int, seed: Int? = nil, progress: ReplayProgress = ReplayProgress()
  ) async throws -> ReplayedIterate {
    let seed = seed ?? workload.seeds.lowerBound
    let recalled = try await recalledState(order, n, seed: seed, progress: progress)
    let isObserved = try database.observation(seed: seed, series: .order(order), n: n) != nil
    var workspace = try specification.maps[try replica(ofSeed: seed)].makeWorkspace()
    return try recalled.state.read { state throws in
      ReplayedIterate(
        tensors: problem.layout.namedTensors(of: state.values, updateCount: state.updateCount), digest: state.digest,
        measurements: try specification.measure(state, seed: seed, workspace: &workspace),
        gradientEvaluations: recalled.gradientEvaluations, checkpoint: recalled.checkpoint, wasObserved: isObserved)
    }
  }

  /// The state of an iterate, compared with what the run observed.
  /// - Throws: `RunError.damaged` if the run observed it and had other bits.
  package func recalledState(
    _ order: CompositionOrder, _ n: Int, seed: Int, progress: ReplayProgress = ReplayProgress()
  ) async throws -> RecalledState {
    let replica = try replica(ofSeed: seed)
    let recalled = try await recall(order, n: n, replica: replica, records: try storedStates()[replica], progress: progress)
    try check(recalled.state.read { $0.digest }, observedAs: .order(order), n: n, seed: seed)
    return recalled
  }

  /// - Throws: `RunError.damaged` if the run observed an iterate of a series with another digest than it has now.
  func check(_ digest: Digest, observedAs series: Series, n: Int, seed: Int) throws {
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

  /// The state of an iterate, from the nearest of the initial state and `records`.
  func recall(
    _ order: CompositionOrder, n: Int, replica: Int, records: [CheckpointRecord], progress: ReplayProgress = ReplayProgress()
  ) async throws -> RecalledState {
    _ = try specification.sequence(of: order, n)
    let initial = StoredState(try specification.initialState(replica: replica))
    guard n > 0 else { return RecalledState(state: initial, gradientEvaluations: 0, checkpoint: nil) }
    let plan = try recallPlan(order, n: n, records: records)
    let keeper = StateKeeper<Problem.Map.Workspace>(kept: try StoredState(count: specification.stateCount))
    let engine = ReplayEngine(
      maps: [specification.maps[replica]], initialStates: [.kept(initial)], observer: keeper,
      checkpoints: StoredStateReader(folder: folder, records: records))
    let evaluations = try await engine.run(plan, lanes: 1, progress: progress).gradientEvaluations
    return RecalledState(
      state: keeper.kept, gradientEvaluations: evaluations, checkpoint: plan.restoredStates.first.map { records[$0.stored] })
  }

  /// How one iterate is brought back from the nearest of the initial state and `records`.
  /// - Parameter averageCount: how many running averages come with it, of forward order.
  package func recallPlan(
    _ order: CompositionOrder, n: Int, records: [CheckpointRecord], averageCount: Int = 0
  ) throws -> ReplayPlan {
    // The iterate's order comes first; those follow on whose paths there are checkpoints, searches for a τ among them.
    let others = Set(records.map(\.order)).subtracting([order]).sorted { $0.description < $1.description }
    let orders = [order] + (try others.map(known))
    let places = Dictionary(others.enumerated().map { ($1, $0 + 1) }) { first, _ in first }
    var stored = ReplicaProgress()
    stored.stored = records.map { $0.point(order: places[$0.order] ?? 0) }
    var planner = ReplayPlanner(orders: orders, points: [n])
    planner.observedOrders = 0..<1
    planner.replicas = [stored]
    planner.averageCount = averageCount
    return try planner.plan()
  }
}

/// A state that was brought back.
package struct RecalledState: Sendable {
  package let state: StoredState
  /// Updates the replay applied.
  package let gradientEvaluations: Int
  /// The checkpoint it began at; nil for the initial state.
  package let checkpoint: CheckpointRecord?
}
