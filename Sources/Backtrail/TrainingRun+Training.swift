import Foundation
import Replay
import Storage
import Tensors

extension TrainingRun {
  /// What a training is told of while it runs. All are called from other threads.
  public struct Listener: Sendable {
    /// The plan, before it is followed.
    public var willFollow: @Sendable (ReplayPlan) -> Void = { _ in }
    /// Observations, once they are on disk.
    public var didCommit: @Sendable ([Observation]) -> Void = { _ in }
    /// Something the user should know that stops nothing.
    public var didNotice: @Sendable (String) -> Void = { _ in }

    public init() {}
  }

  /// What the series of running averages are called, by rule.
  var averageNames: [String] { experiment.averages.map(Self.averageName) }

  static func averageName(_ rule: AverageRule) -> String { "forward average \(rule)" }

  /// Trains all orders, observing their iterates. What was observed before is not computed again, and what is left
  /// begins at the checkpoints that are there; so it makes no difference how often a run was interrupted.
  ///
  /// What the run cost is stored when it has finished. Work on a finished run, more steps for example, is added to that, and a call
  /// that finds nothing to do leaves it as it is.
  /// - Parameter holdsIterates: whether the result has all of the run's iterates in it. There may be many, so a memory budget does
  ///   without them: `document(_:)` reads them when it is written.
  /// - Returns: counts and times are this call's, or those stored where there was nothing to do.
  /// - Throws: `RunError.interrupted` if the surrounding task is cancelled, when the lanes' states have been stored.
  public func train(
    holdsIterates: Bool = true, progress: ReplayProgress = ReplayProgress(), listener: Listener = Listener()
  ) async throws -> RunResult {
    do {
      let lock = try RunLock(folder)
      defer { lock.hold() }
      try database.beginWriting()
      let stored = try StoredConfiguration(database.record(), in: folder).configuration
      guard stored.steps <= experiment.configuration.steps else {
        throw RunError.impossible(
          "\(folder.path) was extended to \(stored.steps) steps by another process in the meantime; resume it again")
      }
      let result = try await with(experiment.fitted(isOpen: true)).follow(progress: progress, listener: listener)
      return holdsIterates ? try result.with(ObservedIterates(database: database)) : result
    } catch is CancellationError {
      throw RunError.interrupted(run: folder.path)
    }
  }

  /// The run with another experiment of the same configuration.
  private func with(_ experiment: Experiment) -> TrainingRun {
    TrainingRun(folder: folder, experiment: experiment, fingerprint: fingerprint, database: database)
  }

  /// What decides bits from now on besides the configuration.
  private var presentFingerprint: String {
    NumericsFingerprint.joining(fingerprint, with: NumericsFingerprint.current())
  }

  /// Stores what the run is now. That is done when there is something to do, and at the end: a resume that is refused leaves the
  /// run as it was.
  /// - Parameter result: what it came to; nil leaves what is stored.
  private func store(_ status: RunRecord.Status, result: RunResult? = nil) throws {
    try folder.keepOrders(experiment.orderTexts, of: experiment.configuration)
    let configuration = try encodeJSON(StoredConfiguration(experiment))
    let result = try result.map { try encodeJSON($0) }
    try database.update {
      $0.configuration = configuration
      $0.fingerprint = presentFingerprint
      $0.status = status
      $0.result = result ?? $0.result
    }
  }

  private func follow(progress: ReplayProgress, listener: Listener) async throws -> RunResult {
    let begin = ContinuousClock.now
    // What is stored is read, and refused where it can't be right, before anything is changed.
    let earlier = try result()
    try folder.adoptOrphans(
      database, series: experiment.askedOrders.map(\.description) + experiment.orders.map(\.description),
      averages: experiment.averages.map(\.description), stateCount: experiment.stateCount)
    SlotFiles.removeAbandoned(in: folder, isAlone: true)
    var done = Work()
    let isResumed = try database.observationCount() > 0
    var experiment = experiment
    var (adapted, findings, isComplete) = experiment.adapted(to: try observationsToAdaptTo())
    while true {
      done = try await with(adapted).followRound(after: done, progress: progress, listener: listener)
      if isComplete { break }
      if let budget = experiment.configuration.costBudget, !isResumed {
        experiment.configuration.costBudget = budget.corrected(by: done.replay, elapsed: (.now - begin) / .seconds(1))
      }
      (adapted, findings, isComplete) = experiment.adapted(to: try observationsToAdaptTo())
    }
    if let earlier, done.isNothing {
      try with(adapted).store(.finished)
      return earlier
    }
    let result = try with(adapted).result(of: done, findings: findings, wallSeconds: (.now - begin) / .seconds(1))
    try with(adapted).store(.finished, result: result.adding(earlier))
    return result
  }

  /// What automatic orders and schedules go by; nothing for a run that has none.
  private func observationsToAdaptTo() throws -> [Observation] { experiment.isAdaptive ? try database.observations() : [] }

  /// What a training has done so far, and what was predicted of it.
  private struct Work {
    var replay = ReplaySummary()
    var predictedGradientEvaluations = 0
    var predictedPeakBytes = 0
    /// Gradient evaluations of one seed of each order alone.
    var costsOfOrders: [Int] = []

    var isNothing: Bool { replay.gradientEvaluations == 0 && replay.observations == 0 }
  }

  /// Follows the plan for what the experiment's orders and points lack.
  /// - Parameter refits: whether lanes and slots may be chosen anew where those there are have no room for the plan: what an
  ///   automatic schedule came to, or the progress of many seeds, may take more than was foreseen.
  /// - Throws: `RunError.impossible` with the least budget where nothing fits.
  private func followRound(
    after done: Work, refits: Bool = true, progress: ReplayProgress, listener: Listener
  ) async throws -> Work {
    let writer = ObservationWriter(database, didCommit: listener.didCommit)
    do {
      // Before the plan, which takes as much again: at the end of the run there may be less room.
      let costs = zip(experiment.orders, experiment.points).map { ReplayPlanner.gradientEvaluations(of: $0, points: $1) }
      try await takeOverEqualIterates(with: writer)
      let (plan, checkpoints) = try planWhatIsLeft(listener)
      FloatBuffer.returnFreedMemory()
      let estimate = experiment.memoryEstimate(plan, isOpen: true)
      guard estimate.peakBytes <= experiment.configuration.memoryBudget ?? .max else {
        guard refits else { throw experiment.doesNotFit(estimate) }
        let refitted = try experiment.refitted(progress: try self.progress(storedStates()))
        return try await with(refitted).followRound(after: done, refits: false, progress: progress, listener: listener)
      }
      var done = done
      done.costsOfOrders = costs
      done.predictedGradientEvaluations += plan.gradientEvaluations
      done.predictedPeakBytes = max(done.predictedPeakBytes, estimate.peakBytes)
      if plan.segmentCount > 0 { try store(.unfinished) }
      listener.willFollow(plan)
      let diskSlots = plan.diskSlots > 0 ? try SlotFiles.ofTraining(folder) : nil
      defer { diskSlots?.removeAll() }
      let engine = ReplayEngine(
        maps: experiment.maps,
        initialStates: try experiment.replayStarts(),
        observer: NetworkObserver(
          maps: experiment.maps, orders: experiment.orders, seeds: experiment.configuration.seeds,
          averageNames: averageNames, writer: writer),
        averages: experiment.averages, checkpoints: checkpoints, diskSlots: diskSlots)
      done.replay =
        done.replay + (try await engine.run(plan, lanes: experiment.configuration.lanes, progress: progress))
      try await writer.finish()
      return done
    } catch {
      // The error that stopped the replay is the one to tell; a failure to note it would only hide it.
      try? await writer.finish()
      // What failed before there was anything to do leaves the run as it was.
      try? database.update { record in
        if record.status == .unfinished { record.status = error is CancellationError ? .interrupted : .failed }
      }
      throw error
    }
  }

  /// Reads the run's observations once, and keeps none of them.
  private func result(
    of work: Work, findings: [AdaptiveFinding], wallSeconds: Double
  ) throws -> RunResult {
    // The plan and the lanes are gone by now.
    FloatBuffer.returnFreedMemory()
    let replay = work.replay
    let perUpdate = replay.gradientEvaluations > 0 ? replay.updateSeconds / Double(replay.gradientEvaluations) : nil
    let perObservation = replay.observations > 0 ? replay.observationSeconds / Double(replay.observations) : nil
    var orders: [RunResult.Series] = []
    var averages: [RunResult.Series] = []
    var summary: [SeriesSummary] = []
    /// Summarises a series and returns it without its iterates.
    func gather(_ name: String, cost: Int) throws -> [RunResult.Series] {
      summary.append(
        SeriesSummary(
          name, seeds: try figures(of: name), gradientEvaluations: cost, secondsPerUpdate: perUpdate ?? 0,
          secondsPerObservation: perObservation ?? 0))
      return experiment.configuration.seeds.map { RunResult.Series(order: name, seed: $0, gradientEvaluations: cost) }
    }
    for (order, cost) in zip(experiment.orders, work.costsOfOrders) {
      orders += try gather(order.description, cost: cost)
      for average in order == .forward ? averageNames : [] { averages += try gather(average, cost: 0) }
    }
    let checkpointBytes = folder.checkpointBytes
    return RunResult(
      run: folder.path, orders: orders, averages: averages, summary: summary,
      gradientEvaluations: replay.gradientEvaluations, predictedGradientEvaluations: work.predictedGradientEvaluations,
      wallSeconds: wallSeconds, secondsPerUpdate: perUpdate, secondsPerObservation: perObservation,
      peakResidentBytes: ResidentMemory.peakBytes, predictedPeakBytes: work.predictedPeakBytes,
      findings: findings.isEmpty ? nil : findings, checkpointBytes: checkpointBytes, stateBytes: experiment.stateBytes,
      lanes: experiment.configuration.lanes, fingerprint: presentFingerprint, isOfThisProcess: true)
  }

  /// By seed.
  private func figures(of series: String) throws -> [CurveFigures] {
    let seeds = experiment.configuration.seeds
    let last = try seeds.compactMap { try database.lastObserved(seed: $0, series: series) }.max() ?? 1
    let iterates = ObservedIterates(database: database)
    return try seeds.map { seed in
      var figures = CurveFigures(last: last)
      try iterates.forEach(of: series, seed: seed) { figures.add($0) }
      return figures
    }
  }
}
