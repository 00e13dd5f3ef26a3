import Formats
import Foundation
import Replay
import Tensors

/// Closures that are called while a training runs. All are called from other threads.
public struct TrainingListener: Sendable {
  /// Called with the plan before it is executed.
  public var willFollow: @Sendable (ReplayPlan) -> Void = { _ in }
  /// Called with observations once they are on disk.
  public var didCommit: @Sendable ([Observation]) -> Void = { _ in }
  /// Called with a message about a problem that does not stop the training.
  public var didNotice: @Sendable (String) -> Void = { _ in }

  public init() {}
}

extension Run {
  /// Trains all orders and yields every new observation once it is on disk. Earlier observations are not computed
  /// again, and the rest starts from the stored checkpoints.
  ///
  /// Leaving the loop early stops the training so that it can be continued.
  /// - Parameter lanes: The number of lanes; nil for as many as the run may use.
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

  /// Trains all orders and observes their iterates. Earlier observations are not computed again, and the rest starts
  /// from the stored checkpoints, so it makes no difference to the results how often a run was interrupted.
  ///
  /// The cost of the run is stored when it has finished. The cost of further work on a finished run, such as more
  /// steps, is added to it. A call that finds nothing to do leaves it unchanged.
  /// - Parameters:
  ///   - lanes: The number of lanes; nil for as many as the run may use.
  ///   - holdsIterates: Whether the result contains all of the run's iterates. There may be many, so pass false under
  ///     a memory budget: `document(_:)` reads them while it is written.
  /// - Returns: The result. Counts and times are those of this call, or the stored ones if there was nothing to do.
  /// - Throws: `RunError.interrupted` if the surrounding task is cancelled, once the lanes' states have been stored.
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

  /// The fingerprint for bits computed from now on: the run's, joined with this process's.
  private var presentFingerprint: String {
    NumericsFingerprint.joining(fingerprint, with: NumericsFingerprint.current(for: problem))
  }

  /// Stores the present state of the run. This is done once there is something to do and at the end, so that a resume
  /// that is refused leaves the run unchanged.
  /// - Parameter result: The new result; nil keeps the stored one.
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

  /// Trains in rounds as long as automatic orders and schedules ask for more. Without them there is a single round.
  private func trainRounds(progress: ReplayProgress, listener: TrainingListener) async throws -> RunResult {
    let begin = ContinuousClock.now
    // The stored result is read, and refused if it can't be right, before anything is changed.
    let earlier = try result()
    try folder.adoptOrphans(
      database, orders: workload.askedOrders + specification.selection.orders,
      averages: workload.averages.map(\.description), stateCount: specification.stateCount)
    SlotFiles.removeAbandoned(in: folder, isAlone: true)
    var done = TrainingTotals()
    let isResumed = try database.observationCount() > 0
    var specification = specification
    var (adapted, findings, isComplete) = try adapted(specification)
    while true {
      done = try await with(adapted).trainRound(after: done, progress: progress, listener: listener)
      if isComplete { break }
      if let budget = workload.costBudget, !isResumed {
        specification = specification.with(budget.corrected(by: done.replay, elapsed: (.now - begin) / .seconds(1)))
      }
      (adapted, findings, isComplete) = try self.adapted(specification)
    }
    if let earlier, done.isNothing {
      try with(adapted).store(.finished)
      return earlier
    }
    let result = try with(adapted).result(of: done, findings: findings, wallSeconds: (.now - begin) / .seconds(1))
    try with(adapted).store(.finished, result: result.adding(earlier))
    return result
  }

  /// The specification with what automatic orders and schedules ask for so far. Without them nothing is read.
  private func adapted(
    _ specification: RunSpecification<Problem>
  ) throws -> (specification: RunSpecification<Problem>, findings: [AdaptiveFinding], isComplete: Bool) {
    guard workload.isAdaptive else { return specification.adapted(to: [], diverged: []) }
    return specification.adapted(to: try database.observations(), diverged: try database.divergences())
  }

  /// What a training has done so far, and what was predicted for it.
  private struct TrainingTotals {
    var replay = ReplaySummary()
    var predictedGradientEvaluations = 0
    var predictedPeakBytes = 0
    /// The gradient evaluations of one seed of each order alone.
    var costsOfOrders: [Int] = []
    /// Whether iterates were found to have diverged because others have.
    var spreadsDivergence = false

    var isNothing: Bool { replay.gradientEvaluations == 0 && replay.observations == 0 && !spreadsDivergence }
  }

  /// Plans and executes what is missing of the selected iterates.
  /// - Parameter refits: Whether lanes and slots may be chosen anew if the plan does not fit the present ones. The
  ///   choices of an automatic schedule, or the progress of many seeds, may need more memory than was foreseen.
  /// - Throws: `RunError.impossible`, naming the least sufficient budget, if nothing fits.
  private func trainRound(
    after done: TrainingTotals, refits: Bool = true, progress: ReplayProgress, listener: TrainingListener
  ) async throws -> TrainingTotals {
    let writer = ObservationWriter(database, didCommit: listener.didCommit)
    do {
      // This comes before the plan and takes as much memory, which may not be available any more at the end of the
      // run.
      let costs = specification.selection.curves.map { ReplayPlanner.gradientEvaluations(of: $0.order, points: $0.points) }
      var done = done
      if try spreadDivergence() { done.spreadsDivergence = true }
      try await takeOverEqualIterates(with: writer)
      let (plan, checkpoints) = try planWhatIsLeft(listener)
      FloatBuffer.returnFreedMemory()
      let estimate = specification.memoryEstimate(plan, isOpen: true)
      let limit = specification.budgets.memory
      guard estimate.neededBytes <= limit?.withinGroups.bytes ?? .max else {
        guard refits else { throw try specification.doesNotFit(estimate, isNew: false, in: folder.path) }
        let refitted = try specification.refitted(in: folder.path, progress: try self.progress(storedStates()))
        return try await with(refitted).trainRound(after: done, refits: false, progress: progress, listener: listener)
      }
      done.costsOfOrders = costs
      done.predictedGradientEvaluations += plan.gradientEvaluations
      done.predictedPeakBytes = max(done.predictedPeakBytes, estimate.peakBytes)
      if plan.segmentCount > 0 { try store(.unfinished) }
      listener.willFollow(plan)
      let diskSlots = plan.diskSlots > 0 ? try SlotFiles.ofTraining(folder) : nil
      defer { diskSlots?.removeAll() }
      let lanes = specification.resources.lanes
      let watch = MemoryWatch(estimate, limit: limit, lanes: min(lanes, max(1, plan.segmentCount)))
      let engine = ReplayEngine(
        maps: specification.maps.map { WatchedMap(map: $0, watch: watch) }, initialStates: try specification.replayStarts(),
        observer: RunObserver(specification: specification, writer: writer), averages: workload.averages,
        checkpoints: checkpoints, diskSlots: diskSlots)
      @Sendable func replay() async throws -> ReplaySummary { try await engine.run(plan, lanes: lanes, progress: progress) }
      let summary = if let watch { try await watch.during(replay) } else { try await replay() }
      done.replay = done.replay + summary
      try await writer.finish()
      if try spreadDivergence() { done.spreadsDivergence = true }
      return done
    } catch {
      // The error that stopped the replay is the one to report; an error in noting it would only hide it.
      try? await writer.finish()
      // An error that occurs before there was anything to do leaves the run unchanged.
      try? database.update { record in
        let isInterrupted = error is CancellationError || error is MemoryBreach
        if record.status == .unfinished { record.status = isInterrupted ? .interrupted : .failed }
      }
      guard let breach = error as? MemoryBreach else { throw error }
      throw breach.error(run: folder.path)
    }
  }

  /// Computes the result by reading the run's observations once, without keeping them.
  private func result(
    of totals: TrainingTotals, findings: [AdaptiveFinding], wallSeconds: Double
  ) throws -> RunResult {
    // The memory of the plan and the lanes is free by now.
    FloatBuffer.returnFreedMemory()
    let replay = totals.replay
    let perUpdate = replay.gradientEvaluations > 0 ? replay.updateSeconds / Double(replay.gradientEvaluations) : nil
    let perObservation = replay.observations > 0 ? replay.observationSeconds / Double(replay.observations) : nil
    let perAveragedState = replay.averagedStates > 0 ? replay.averagingSeconds / Double(replay.averagedStates) : 0
    var orders: [RunResult.Curve] = []
    var averages: [RunResult.Curve] = []
    var summary: [SeriesSummary] = []
    /// Summarises a series and returns its curves without their iterates.
    func gather(_ series: Series, cost: Int, averaging: Double = 0) throws -> [RunResult.Curve] {
      summary.append(
        SeriesSummary(
          series.description, seeds: try figures(of: series), diverged: try firstDivergences(of: series), metrics: problem.metrics,
          gradientEvaluations: cost, secondsPerUpdate: perUpdate ?? 0, secondsPerObservation: perObservation ?? 0,
          averaging: averaging))
      return workload.seeds.map { RunResult.Curve(series: series, seed: $0, gradientEvaluations: cost) }
    }
    for (order, cost) in zip(specification.selection.orders, totals.costsOfOrders) {
      orders += try gather(.order(order), cost: cost)
      for average in order == .forward ? workload.averageSeries : [] {
        averages += try gather(average, cost: 0, averaging: Double(cost) * perAveragedState)
      }
    }
    return RunResult(
      run: folder.path, orders: orders, averages: averages, summary: summary,
      gradientEvaluations: replay.gradientEvaluations, predictedGradientEvaluations: totals.predictedGradientEvaluations,
      skippedGradientEvaluations: replay.skippedGradientEvaluations > 0 ? replay.skippedGradientEvaluations : nil,
      wallSeconds: wallSeconds, secondsPerUpdate: perUpdate, secondsPerObservation: perObservation,
      averagingSeconds: replay.averagedStates > 0 ? replay.averagingSeconds : nil,
      peakResidentBytes: ResidentMemory.peakBytes, predictedPeakBytes: totals.predictedPeakBytes,
      findings: findings.isEmpty ? nil : findings, checkpointBytes: folder.checkpointBytes, stateBytes: specification.stateBytes,
      lanes: specification.resources.lanes, fingerprint: presentFingerprint, isOfThisProcess: true)
  }

  /// The first n at which a series has diverged, for each seed where it has.
  private func firstDivergences(of series: Series) throws -> [SeedDivergence] {
    try workload.seeds.compactMap { seed in
      try database.diverged(seed: seed, series: series).first.map { SeedDivergence(seed: seed, n: $0) }
    }
  }

  /// The figures of the curve of each seed for which the series has not diverged.
  private func figures(of series: Series) throws -> [CurveFigures] {
    let last = try workload.seeds.compactMap { try database.lastObserved(seed: $0, series: series) }.max() ?? 1
    let iterates = ObservedIterates(database: database)
    let diverged = Set(try firstDivergences(of: series).map(\.seed))
    return try workload.seeds.filter { !diverged.contains($0) }.map { seed in
      var figures = CurveFigures(last: last, metricCount: problem.metrics.count)
      try iterates.forEach(of: series, seed: seed) { figures.add($0) }
      return figures
    }
  }
}
