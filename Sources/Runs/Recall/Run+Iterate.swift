import Formats
import Replay
import Tensors

/// An iterate that was recalled.
public struct ReplayedIterate: Sendable {
  private let state: StoredState
  private let layout: StateLayout
  public let digest: Digest
  public let measurements: Measurements
  /// The mean loss over the batch of its last update, as `Observation.trainingLoss`; nil where neither the replay came by it nor the run.
  public let trainingLoss: Double?
  /// The number of updates the replay applied.
  public let gradientEvaluations: Int
  /// The checkpoint the replay started from; nil for the initial state.
  public let checkpoint: CheckpointRecord?
  /// Whether the run had observed the iterate, so that its bits were compared.
  public let wasObserved: Bool

  fileprivate init(
    _ recalled: RecalledState, layout: StateLayout, digest: Digest, measurements: Measurements, trainingLoss: Double?, wasObserved: Bool
  ) {
    state = recalled.state
    self.layout = layout
    self.digest = digest
    self.measurements = measurements
    self.trainingLoss = trainingLoss
    gradientEvaluations = recalled.gradientEvaluations
    checkpoint = recalled.checkpoint
    self.wasObserved = wasObserved
  }

  /// The tensors under the layout's names, in the order of the training state.
  public var tensors: [NamedTensor] {
    get throws {
      try state.read { state throws in try layout.namedTensors(of: state.values, updateCount: state.updateCount) }
    }
  }

  /// Writes the tensors as safetensors, one after the other. The file must be new.
  public func write(metadata: [String: String] = [:], to path: String) throws {
    try state.read { state throws in
      try layout.write(state.values, updateCount: state.updateCount, metadata: metadata, to: path)
    }
  }
}

extension Run {
  /// Loads or replays one iterate of any order, whether or not the run observed it, from the nearest stored state on
  /// its path.
  /// - Parameters:
  ///   - n: The iterate; 0 is the initial state.
  ///   - seed: A seed of the run; nil for its first.
  /// - Throws: `RunError.damaged` if the run observed the iterate with other bits.
  public func iterate(
    _ order: CompositionOrder, _ n: Int, seed: Int? = nil, progress: ReplayProgress = ReplayProgress()
  ) async throws -> ReplayedIterate {
    let seed = seed ?? workload.seeds.lowerBound
    let recalled = try await recalledState(order, n, seed: seed, progress: progress)
    let observed = try database.observation(seed: seed, series: .order(order), n: n)
    var workspace = try specification.maps[try replica(ofSeed: seed)].makeWorkspace()
    return try recalled.state.read { state throws in
      ReplayedIterate(
        recalled, layout: problem.layout, digest: try state.digest,
        measurements: try specification.measure(state, seed: seed, workspace: &workspace),
        trainingLoss: observed?.trainingLoss ?? state.trainingLoss, wasObserved: observed != nil)
    }
  }

  /// The state of an iterate, compared with what the run observed.
  /// - Throws: `RunError.damaged` if the run observed the iterate with other bits.
  package func recalledState(
    _ order: CompositionOrder, _ n: Int, seed: Int, progress: ReplayProgress = ReplayProgress()
  ) async throws -> RecalledState {
    let replica = try replica(ofSeed: seed)
    let recalled = try await recall(order, n, replica: replica, from: try StoredStates(ofSeed: seed, in: self), progress: progress)
    try check(try recalled.state.digest, observedAs: .order(order), n: n, seed: seed)
    return recalled
  }

  /// - Throws: `RunError.damaged` if the run observed the iterate of the series with a digest other than `digest`.
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

  /// The number of updates that recalling an iterate takes, from the nearest stored state on its path.
  /// - Parameter seed: A seed of the run; nil for its first.
  public func recallCost(of order: CompositionOrder, n: Int, seed: Int? = nil) throws -> Int {
    let stored = try StoredStates(ofSeed: seed ?? workload.seeds.lowerBound, in: self)
    return try recallCost(of: order, n, from: stored)
  }

  package func recallCost(of order: CompositionOrder, _ n: Int, from stored: StoredStates) throws -> Int {
    let sequence = try specification.sequence(of: order, n)
    return sequence.count - (stored.nearest(on: sequence)?.position ?? 0)
  }

  /// The state of an iterate, replayed from the nearest of the initial state and the stored states.
  /// - Parameter isUsable: Whether a stored state may be used.
  func recall(
    _ order: CompositionOrder, _ n: Int, replica: Int, from stored: StoredStates,
    isUsable: (CheckpointRecord) -> Bool = { _ in true }, progress: ReplayProgress = ReplayProgress()
  ) async throws -> RecalledState {
    let sequence = try specification.sequence(of: order, n)
    let initial = StoredState(try specification.initialState(replica: replica))
    guard n > 0 else { return RecalledState(state: initial, gradientEvaluations: 0, checkpoint: nil) }
    let nearest = stored.nearest(on: sequence, isUsable: isUsable)
    let keeper = StateKeeper<Problem.Map.Workspace>(kept: try StoredState(for: specification.maps[replica]))
    let engine = ReplayEngine(
      maps: [specification.maps[replica]], initialStates: [.kept(initial)], observer: keeper,
      checkpoints: StoredStateReader(folder: folder, records: nearest.map { [$0] } ?? [], among: stored.index))
    let plan = try recallPlan(order, n, from: nearest)
    let evaluations = try await engine.run(plan, lanes: 1, progress: progress).gradientEvaluations
    return RecalledState(state: keeper.kept, gradientEvaluations: evaluations, checkpoint: nearest)
  }

  /// The plan that replays one iterate from a stored state on its path, or from the initial state if `record` is nil.
  /// - Parameter averageCount: The number of running averages computed along the way; the order must be forward then.
  func recallPlan(
    _ order: CompositionOrder, _ n: Int, from record: CheckpointRecord?, averageCount: Int = 0
  ) throws -> ReplayPlan {
    var stored = ReplicaProgress()
    var orders = [order]
    if let record {
      orders.append(try known(record.order))
      stored.stored = [record.point(order: 1)]
    }
    var planner = ReplayPlanner(orders: orders, points: [n])
    planner.observedOrders = 0..<1
    planner.replicas = [stored]
    planner.averageCount = averageCount
    return try planner.plan()
  }
}

/// A state that was recalled.
package struct RecalledState: Sendable {
  package let state: StoredState
  /// The number of updates the replay applied.
  package let gradientEvaluations: Int
  /// The checkpoint the replay started from; nil for the initial state.
  package let checkpoint: CheckpointRecord?
}
