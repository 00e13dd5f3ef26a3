import Datasets
import Foundation
import Networks
import Replay
import Storage
import Tensors

/// A run with its folder: created and trained once, then read and replayed as often as wanted.
public struct TrainingRun: Sendable {
  public let folder: RunFolder
  public let experiment: Experiment
  /// The numerics the run was made with.
  public let fingerprint: String
  private let database: RunDatabase

  /// Makes the folder of a new run. Nothing is trained yet.
  public static func create(_ experiment: Experiment, at path: String) throws -> TrainingRun {
    let folder = try RunFolder.create(at: path)
    BLAS.setThreads(experiment.configuration.blasThreads)
    let record = RunRecord(
      configuration: try encodeJSON(StoredConfiguration(experiment)), fingerprint: NumericsFingerprint.current(), createdAt: Date())
    return TrainingRun(
      folder: folder, experiment: experiment, fingerprint: record.fingerprint,
      database: try RunDatabase.create(in: folder, record: record))
  }

  /// Opens a run for replay: reads its data again and checks that it is what it was.
  /// - Parameter allowNumericsChange: whether other numerics, and so other bits, are accepted.
  public static func open(_ path: String, allowNumericsChange: Bool = false) throws -> TrainingRun {
    let folder = try RunFolder.open(path)
    let database = try RunDatabase.open(folder)
    let record = try database.record()
    let stored = try StoredConfiguration(record, in: folder)
    let experiment = try Experiment(stored.configuration)
    guard experiment.inputs.data == stored.inputs.data else {
      throw RunError.damaged("the data \(stored.configuration.data) is not what it was when \(path) was made; bring it back, or train anew")
    }
    for (file, digest) in stored.inputs.files where experiment.inputs.files[file] != digest {
      throw RunError.damaged("\(file) is not what it was when \(path) was made; bring it back, or train anew")
    }
    BLAS.setThreads(stored.configuration.blasThreads)
    let current = NumericsFingerprint.current()
    guard current == record.fingerprint || allowNumericsChange else {
      throw RunError.impossible(
        """
        \(path) was made with other numerics, so a replay here gives other bits; \
        accept that with --allow-numerics-change (there: \(record.fingerprint); here: \(current))
        """)
    }
    return TrainingRun(
      folder: folder, experiment: experiment, fingerprint: record.fingerprint, database: database)
  }

  /// Trains all orders, observing their iterates.
  /// - Parameter didCommit: told of observations once they are on disk.
  public func train(
    progress: ReplayProgress = ReplayProgress(),
    didCommit: @escaping @Sendable ([Observation]) -> Void = { _ in }
  ) async throws -> RunResult {
    let clock = ContinuousClock()
    let begin = clock.now
    let configuration = experiment.configuration
    let plan = experiment.plan()
    let predictedPeakBytes = experiment.predictedPeakBytes(plan)
    let writer = ObservationWriter(database, didCommit: didCommit)
    let averageName = "forward average \(configuration.averageDecay)"
    let engine = ReplayEngine(
      maps: experiment.maps,
      initialStates: try experiment.maps.indices.map { StoredState(try experiment.initialState(replica: $0)) },
      observer: NetworkObserver(
        evaluator: experiment.evaluator, orders: experiment.orders, seeds: configuration.seeds,
        averageName: averageName, writer: writer),
      averageDecay: configuration.averageDecay)
    let replay: ReplaySummary
    do {
      replay = try await engine.run(plan, lanes: configuration.lanes, progress: progress)
      try await writer.finish()
    } catch {
      // The error that stopped the replay is the one to tell; a failure to note it would only hide it.
      try? await writer.finish()
      try? database.end(.failed, result: nil)
      throw error
    }

    let observations = try database.observations()
    let orders = experiment.orders.flatMap { order in
      series(
        order.description, of: observations,
        cost: ReplayPlanner.gradientEvaluations(of: order, points: experiment.points))
    }
    let averages = plan.averageObservationCount > 0 ? series(averageName, of: observations, cost: 0) : []
    let bySeries = Dictionary(grouping: orders + averages, by: \.order)
    let names = configuration.orders.flatMap { $0 == "forward" ? [$0, averageName] : [$0] }
    let result = RunResult(
      run: folder.path, orders: orders, averages: averages,
      summary: names.map { name in
        SeriesSummary(
          name, seeds: bySeries[name] ?? [],
          secondsPerUpdate: replay.updateSeconds / Double(max(1, replay.gradientEvaluations)),
          secondsPerObservation: replay.observationSeconds / Double(max(1, replay.observations)))
      },
      gradientEvaluations: replay.gradientEvaluations, predictedGradientEvaluations: plan.gradientEvaluations,
      wallSeconds: (clock.now - begin) / .seconds(1), peakResidentBytes: ResidentMemory.peakBytes,
      predictedPeakBytes: predictedPeakBytes, checkpointBytes: folder.checkpointBytes,
      stateBytes: experiment.stateBytes, lanes: configuration.lanes, fingerprint: fingerprint)
    try database.end(.finished, result: try encodeJSON(result))
    return result
  }

  private func series(_ name: String, of observations: [Observation], cost: Int) -> [RunResult.Series] {
    experiment.configuration.seeds.map { seed in
      RunResult.Series(
        order: name, seed: seed, gradientEvaluations: cost,
        iterates: observations.filter { $0.seed == seed && $0.series == name }.map {
          RunResult.Iterate(n: $0.n, testLoss: $0.testLoss, testAccuracy: $0.testAccuracy, digest: $0.digest)
        })
    }
  }

  /// Replays one iterate of any order, observed by the run or not.
  /// - Parameters:
  ///   - n: 0 is the initial state.
  ///   - seed: one of the run's.
  /// - Returns: its tensors and digest, and the gradient evaluations the replay took.
  /// - Throws: `RunError.damaged` if the run observed the iterate and had other bits.
  public func iterate(
    order: CompositionOrder, n: Int, seed: Int, progress: ReplayProgress = ReplayProgress()
  ) async throws -> ReplayedIterate {
    let replica = try replica(ofSeed: seed)
    _ = try experiment.sequence(of: order, n)
    var state = StoredState(try experiment.initialState(replica: replica))
    var evaluations = 0
    if n > 0 {
      let keeper = StateKeeper(kept: try StoredState(count: experiment.layout.count))
      let engine = ReplayEngine(maps: [experiment.maps[replica]], initialStates: [state], observer: keeper)
      let plan = ReplayPlanner(orders: [order], points: [n]).plan()
      evaluations = try await engine.run(plan, lanes: 1, progress: progress).gradientEvaluations
      state = keeper.kept
    }
    let (digest, tensors) = state.read { state in
      (
        state.digest,
        experiment.layout.tensors.map {
          NamedTensor(name: $0.name, shape: $0.shape, values: experiment.layout.values(of: $0, in: state.values))
        }
      )
    }
    let observed = try database.observation(seed: seed, series: order.description, n: n)
    if let observed, observed.digest != digest, NumericsFingerprint.current() == fingerprint {
      throw RunError.damaged(
        """
        iterate \(n) of \(order) was observed with the digest \(observed.digest), but its replay has \(digest): \
        \(folder.databasePath) is damaged, or this machine's memory or processor is
        """)
    }
    return ReplayedIterate(
      tensors: tensors, digest: digest, gradientEvaluations: evaluations, wasObserved: observed != nil)
  }

  /// The example indices of batch j, counted from 1, for one of the run's seeds.
  public func batch(_ j: Int, seed: Int) throws(RunError) -> [Int] {
    let sampler = experiment.maps[try replica(ofSeed: seed)].sampler
    if let count = sampler.batchCount, j > count {
      throw .impossible("\(experiment.configuration.sampler) holds \(count) batches, so there is no batch \(j)")
    }
    var indices = [Int](repeating: 0, count: sampler.batchSize)
    sampler.fill(&indices, batch: j)
    return indices
  }

  private func replica(ofSeed seed: Int) throws(RunError) -> Int {
    let seeds = experiment.configuration.seeds
    guard seeds.contains(seed) else {
      throw .impossible(
        "\(folder.path) has no seed \(seed); name one from \(seeds.lowerBound) to \(seeds.upperBound - 1) with --seed")
    }
    return seed - seeds.lowerBound
  }
}

/// An iterate computed again.
public struct ReplayedIterate: Sendable {
  /// Under PyTorch's names, in the order of the training state.
  public let tensors: [NamedTensor]
  public let digest: Digest
  /// Updates the replay applied.
  public let gradientEvaluations: Int
  /// Whether the run had observed it, so that its bits were compared.
  public let wasObserved: Bool
}
