import Formats
import Foundation
import Replay
import Tensors

/// What is told of a training while it runs. All are called from other threads.
public struct TrainingListener: Sendable {
  /// The plan, before it is followed.
  public var willFollow: @Sendable (ReplayPlan) -> Void = { _ in }
  /// Observations, once they are on disk.
  public var didCommit: @Sendable ([Observation]) -> Void = { _ in }
  /// Something the user should know that stops nothing.
  public var didNotice: @Sendable (String) -> Void = { _ in }

  public init() {}
}

extension Run {
  /// Trains all orders and gives every new observation, once it is on disk. What was observed before is not computed again, and
  /// what is left begins at the checkpoints that are there.
  ///
  /// Leaving the loop early stops the training where it can be gone on with.
  /// - Parameter lanes: nil for as many as the run may use.
  public func train(lanes: Int? = nil) -> AsyncThrowingStream<Observation, any Error> {
    AsyncThrowingStream { continuation in
      let training = Task {
        do {
          var listener = TrainingListener()
          listener.didCommit = { for observation in $0 { continuation.yield(observation) } }
          _ = try await finish(lanes: lanes, holdsIterates: false, listener: listener)
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in training.cancel() }
    }
  }

  /// Trains all orders, observing their iterates. What was observed before is not computed again, and what is left
  /// begins at the checkpoints that are there; so it makes no difference how often a run was interrupted.
  ///
  /// What the run cost is stored when it has finished. Work on a finished run, more steps for example, is added to that, and a call
  /// that finds nothing to do leaves it as it is.
  /// - Parameters:
  ///   - lanes: nil for as many as the run may use.
  ///   - holdsIterates: whether the result has all of the run's iterates in it. There may be many, so a memory budget does without
  ///     them: `document(_:)` reads them when it is written.
  ///   - progress: told of every update, for whoever shows how far it is.
  ///   - listener: what is told while it runs.
  /// - Returns: counts and times are this call's, or those stored where there was nothing to do.
  /// - Throws: `RunError.interrupted` if the surrounding task is cancelled, when the lanes' states have been stored.
  @discardableResult
  public func finish(
    lanes: Int? = nil, holdsIterates: Bool = true, progress: ReplayProgress = ReplayProgress(),
    listener: TrainingListener = TrainingListener()
  ) async throws -> RunResult {
    do {
      let lock = try RunLock(folder)
      defer { lock.hold() }
      try database.beginWriting()
      let stored = try RunDescription(database.record(), in: folder).workload
      guard stored.steps <= workload.steps else {
        throw RunError.impossible(
          "\(folder.path) was extended to \(stored.steps) steps by another process in the meantime; resume it again")
      }
      var specification = specification
      if let lanes {
        var budgets = specification.budgets
        budgets.lanes = lanes
        try budgets.check()
        specification = specification.with(budgets)
      }
      let fitted = try specification.fitted(in: folder.path, isOpen: true)
      let result = try await with(fitted).trainRounds(progress: progress, listener: listener)
      return holdsIterates ? try result.with(ObservedIterates(database: database)) : result
    } catch is CancellationError {
      throw RunError.interrupted(run: folder.path)
    }
  }

  /// The run with another specification of the same problem and workload.
  private func with(_ specification: RunSpecification<Problem>) -> Run {
    Run(folder: folder, specification: specification, fingerprint: fingerprint, database: database)
  }

  /// What decides bits from now on besides the configuration.
  private var presentFingerprint: String {
    NumericsFingerprint.joining(fingerprint, with: NumericsFingerprint.current())
  }

  /// Stores what the run is now. That is done when there is something to do, and at the end: a resume that is refused leaves the
  /// run as it was.
  /// - Parameter result: what it came to; nil leaves what is stored.
  private func store(_ status: RunRecord.Status, result: RunResult? = nil) throws {
    let description = specification.description
    try folder.keepOrders(workload.orderTexts, of: description.workload)
    let configuration = try encodeJSON(description)
    let result = try result.map { try encodeJSON($0) }
    try database.update {
      $0.configuration = configuration
      $0.fingerprint = presentFingerprint
      $0.status = status
      $0.result = result ?? $0.result
    }
  }

  /// Trains round after round, as long as automatic orders and schedules ask for more; without any there is one.
  private func trainRounds(progress: ReplayProgress, listener: TrainingListener) async throws -> RunResult {
    let begin = ContinuousClock.now
    // What is stored is read, and refused where it can't be right, before anything is changed.
    let earlier = try result()
    try folder.adoptOrphans(
      database, orders: workload.askedOrders + specification.selection.orders,
      averages: workload.averages.map(\.description), stateCount: specification.stateCount)
    SlotFiles.removeAbandoned(in: folder, isAlone: true)
    var done = TrainingTotals()
    let isResumed = try database.observationCount() > 0
    var specification = specification
    var (adapted, findings, isComplete) = specification.adapted(to: try observationsToAdaptTo())
    while true {
      done = try await with(adapted).trainRound(after: done, progress: progress, listener: listener)
      if isComplete { break }
      if let budget = workload.costBudget, !isResumed {
        specification = specification.with(budget.corrected(by: done.replay, elapsed: (.now - begin) / .seconds(1)))
      }
      (adapted, findings, isComplete) = specification.adapted(to: try observationsToAdaptTo())
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
  private func observationsToAdaptTo() throws -> [Observation] { workload.isAdaptive ? try database.observations() : [] }

  /// What a training has done so far, and what was predicted of it.
  private struct TrainingTotals {
    var replay = ReplaySummary()
    var predictedGradientEvaluations = 0
    var predictedPeakBytes = 0
    /// Gradient evaluations of one seed of each order alone.
    var costsOfOrders: [Int] = []

    var isNothing: Bool { replay.gradientEvaluations == 0 && replay.observations == 0 }
  }

  /// Follows the plan for what the selected iterates lack.
  /// - Parameter refits: whether lanes and slots may be chosen anew where those there are have no room for the plan: what an
  ///   automatic schedule came to, or the progress of many seeds, may take more than was foreseen.
  /// - Throws: `RunError.impossible` with the least budget where nothing fits.
  private func trainRound(
    after done: TrainingTotals, refits: Bool = true, progress: ReplayProgress, listener: TrainingListener
  ) async throws -> TrainingTotals {
    let writer = ObservationWriter(database, didCommit: listener.didCommit)
    do {
      // Before the plan, which takes as much again: at the end of the run there may be less room.
      let costs = specification.selection.curves.map { ReplayPlanner.gradientEvaluations(of: $0.order, points: $0.points) }
      try await takeOverEqualIterates(with: writer)
      let (plan, checkpoints) = try planWhatIsLeft(listener)
      FloatBuffer.returnFreedMemory()
      let estimate = specification.memoryEstimate(plan, isOpen: true)
      guard estimate.peakBytes <= specification.budgets.memory ?? .max else {
        guard refits else { throw specification.doesNotFit(estimate) }
        let refitted = try specification.refitted(in: folder.path, progress: try self.progress(storedStates()))
        return try await with(refitted).trainRound(after: done, refits: false, progress: progress, listener: listener)
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
        maps: specification.maps, initialStates: try specification.replayStarts(),
        observer: RunObserver(specification: specification, writer: writer), averages: workload.averages,
        checkpoints: checkpoints, diskSlots: diskSlots)
      done.replay =
        done.replay + (try await engine.run(plan, lanes: specification.resources.lanes, progress: progress))
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
    of totals: TrainingTotals, findings: [AdaptiveFinding], wallSeconds: Double
  ) throws -> RunResult {
    // The plan and the lanes are gone by now.
    FloatBuffer.returnFreedMemory()
    let replay = totals.replay
    let perUpdate = replay.gradientEvaluations > 0 ? replay.updateSeconds / Double(replay.gradientEvaluations) : nil
    let perObservation = replay.observations > 0 ? replay.observationSeconds / Double(replay.observations) : nil
    var orders: [RunResult.Curve] = []
    var averages: [RunResult.Curve] = []
    var summary: [SeriesSummary] = []
    /// Summarises a series and returns it without its iterates.
    func gather(_ series: Series, cost: Int) throws -> [RunResult.Curve] {
      summary.append(
        SeriesSummary(
          series.description, seeds: try figures(of: series), metrics: problem.metrics, gradientEvaluations: cost,
          secondsPerUpdate: perUpdate ?? 0, secondsPerObservation: perObservation ?? 0))
      return workload.seeds.map { RunResult.Curve(series: series, seed: $0, gradientEvaluations: cost) }
    }
    for (order, cost) in zip(specification.selection.orders, totals.costsOfOrders) {
      orders += try gather(.order(order), cost: cost)
      for average in order == .forward ? workload.averageSeries : [] { averages += try gather(average, cost: 0) }
    }
    return RunResult(
      run: folder.path, orders: orders, averages: averages, summary: summary,
      gradientEvaluations: replay.gradientEvaluations, predictedGradientEvaluations: totals.predictedGradientEvaluations,
      wallSeconds: wallSeconds, secondsPerUpdate: perUpdate, secondsPerObservation: perObservation,
      peakResidentBytes: ResidentMemory.peakBytes, predictedPeakBytes: totals.predictedPeakBytes,
      findings: findings.isEmpty ? nil : findings, checkpointBytes: folder.checkpointBytes, stateBytes: specification.stateBytes,
      lanes: specification.resources.lanes, fingerprint: presentFingerprint, isOfThisProcess: true)
  }

  /// By seed.
  private func figures(of series: Series) throws -> [CurveFigures] {
    let last = try workload.seeds.compactMap { try database.lastObserved(seed: $0, series: series) }.max() ?? 1
    let iterates = ObservedIterates(database: database)
    return try workload.seeds.map { seed in
      var figures = CurveFigures(last: last, metricCount: problem.metrics.count)
      try iterates.forEach(of: series, seed: seed) { figures.add($0) }
      return figures
    }
  }
}
