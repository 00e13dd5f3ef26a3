import Datasets
import Replay
import Storage
import Tensors

/// An iterate brought back.
public struct ReplayedIterate: Sendable {
  /// Under PyTorch's names, in the order of the training state.
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
    let replica = try replica(ofSeed: seed)
    _ = try experiment.sequence(of: order, n)
    var state = StoredState(try experiment.initialState(replica: replica))
    var evaluations = 0
    var checkpoint: CheckpointRecord?
    if n > 0 {
      let records = try storedStates()[replica]
      let plan = planIterate(order: order, n: n, records: records)
      checkpoint = plan.restoredStates.first.map { records[$0.stored] }
      let keeper = StateKeeper(kept: try StoredState(count: experiment.layout.count))
      let engine = ReplayEngine(
        maps: [experiment.maps[replica]], initialStates: [state], observer: keeper,
        checkpoints: StoredStateReader(folder: folder, records: records))
      evaluations = try await engine.run(plan, lanes: 1, progress: progress).gradientEvaluations
      state = keeper.kept
    }
    let observed = try database.observation(seed: seed, series: order.description, n: n)
    var workspace = try experiment.evaluator.network.makeWorkspace()
    return try state.read { state throws in
      let digest = state.digest
      if let observed, observed.digest != digest, NumericsFingerprint.current() == fingerprint {
        throw RunError.damaged(
          """
          iterate \(n) of \(order) was observed with the digest \(observed.digest), but its replay has \(digest): \
          \(folder.databasePath) is damaged, or this machine's memory or processor is
          """)
      }
      let (loss, accuracy) = experiment.evaluator.evaluate(state.values, workspace: &workspace)
      return ReplayedIterate(
        tensors: experiment.layout.tensors.map {
          NamedTensor(name: $0.name, shape: $0.shape, values: experiment.layout.values(of: $0, in: state.values))
        },
        digest: digest, testLoss: loss, testAccuracy: accuracy, gradientEvaluations: evaluations,
        checkpoint: checkpoint, wasObserved: observed != nil)
    }
  }

  private func planIterate(order: CompositionOrder, n: Int, records: [CheckpointRecord]) -> ReplayPlan {
    // The iterate's order comes first; the run's own follow for the checkpoints on their paths.
    let orders = [order] + experiment.orders
    let indices = Dictionary(orders.enumerated().map { ($1.description, $0) }) { first, _ in first }
    var progress = ReplicaProgress()
    progress.stored = records.map { $0.point(order: indices[$0.series] ?? 0) }
    var planner = ReplayPlanner(orders: orders, points: [n])
    planner.observedOrders = 0..<1
    planner.replicas = [progress]
    return planner.plan()
  }
}
