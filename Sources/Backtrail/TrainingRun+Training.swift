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
  /// - Returns: all of the run's observations; counts and times are this call's.
  /// - Throws: `RunError.interrupted` if the surrounding task is cancelled, when the lanes' states have been stored.
  public func train(
    progress: ReplayProgress = ReplayProgress(), listener: Listener = Listener()
  ) async throws -> RunResult {
    do {
      return try await with(experiment.fitted(isOpen: true)).forWriting().follow(progress: progress, listener: listener)
    } catch is CancellationError {
      throw RunError.interrupted(run: folder.path)
    }
  }

  /// The run with another experiment of the same configuration.
  private func with(_ experiment: Experiment) -> TrainingRun {
    TrainingRun(folder: folder, experiment: experiment, fingerprint: fingerprint, database: database, access: access)
  }

  private func follow(progress: ReplayProgress, listener: Listener) async throws -> RunResult {
    let begin = ContinuousClock.now
    let lock = try RunLock(folder)
    defer { lock.hold() }
    let current = NumericsFingerprint.current()
    let fingerprint = hasSameNumerics ? current : "mixed: \(fingerprint); then \(current)"
    let json = try encodeJSON(StoredConfiguration(experiment))
    try database.update {
      $0.configuration = json
      $0.fingerprint = fingerprint
      $0.status = .unfinished
    }

    try folder.adoptOrphans(
      database, series: experiment.askedOrders.map(\.description) + experiment.orders.map(\.description),
      averages: experiment.averages.map(\.description), stateCount: experiment.stateCount)
    SlotFiles.removeAbandoned(in: folder, isAlone: true)
    var done = Work()
    let isResumed = try !database.observations().isEmpty
    var experiment = experiment
    var (adapted, findings, isComplete) = experiment.adapted(to: try database.observations())
    while true {
      done = try await with(adapted).followRound(after: done, progress: progress, listener: listener)
      if isComplete { break }
      if let budget = experiment.configuration.costBudget, !isResumed {
        experiment.configuration.costBudget = budget.corrected(by: done.replay, elapsed: (.now - begin) / .seconds(1))
        let json = try encodeJSON(StoredConfiguration(experiment))
        try database.update { $0.configuration = json }
      }
      (adapted, findings, isComplete) = experiment.adapted(to: try database.observations())
    }
    let result = try with(adapted).result(
      of: done, findings: findings, fingerprint: fingerprint, wallSeconds: (.now - begin) / .seconds(1))
    let resultJSON = try encodeJSON(result)
    try database.update {
      $0.status = .finished
      $0.result = resultJSON
    }
    return result
  }

  /// What a training has done so far, and what was predicted of it.
  private struct Work {
    var replay = ReplaySummary()
    var predictedGradientEvaluations = 0
    var predictedPeakBytes = 0
  }

  /// Follows the plan for what the experiment's orders and points lack.
  private func followRound(after done: Work, progress: ReplayProgress, listener: Listener) async throws -> Work {
    let writer = ObservationWriter(database, didCommit: listener.didCommit)
    do {
      let observed = try await observations(takingOverWith: writer)
      let (plan, checkpoints) = try planWhatIsLeft(observed: observed, listener)
      FloatBuffer.returnFreedMemory()
      var done = done
      done.predictedGradientEvaluations += plan.gradientEvaluations
      done.predictedPeakBytes = max(done.predictedPeakBytes, experiment.memoryEstimate(plan, isOpen: true).peakBytes)
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
      try? database.update { $0.status = error is CancellationError ? .interrupted : .failed }
      throw error
    }
  }

  /// All observations there are, by seed. What is observed already as an iterate of another order, such as `splice:16` up to
  /// n = 16 as `backward`, is the same state: its rows are written from those there are, and nothing is computed again.
  private func observations(takingOverWith writer: ObservationWriter) async throws -> [Int: [Observation]] {
    var observations = Dictionary(grouping: try database.observations(), by: \.seed)
    // The run's orders come first; others are those that earlier rounds, or a longer run, asked for.
    let series = Set(observations.values.joined().map(\.series)).subtracting(experiment.orders.map(\.description))
    let orders = experiment.orders + series.sorted().compactMap { try? CompositionOrder($0) }
    let places = Dictionary(uniqueKeysWithValues: orders.enumerated().map { ($1.description, $0) })
    let wanted = zip(experiment.orders.indices, experiment.points).flatMap { order, points in
      points.map { Iterate(order: order, n: $0) }
    }
    for seed in experiment.configuration.seeds {
      var known: [Iterate: Observation] = [:]
      for observation in observations[seed] ?? [] {
        if let order = places[observation.series] { known[Iterate(order: order, n: observation.n)] = observation }
      }
      let pairs = try EqualIterates(orders: orders).pairs(of: wanted.filter { known[$0] == nil }, among: Array(known.keys))
      let taken = pairs.compactMap { pair -> Observation? in
        guard var observation = known[pair.known] else { return nil }
        (observation.series, observation.n) = (orders[pair.wanted.order].description, pair.wanted.n)
        return observation
      }
      guard !taken.isEmpty else { continue }
      try writer.add(taken)
      observations[seed, default: []] += taken
    }
    try await writer.finish()
    return observations
  }

  /// The plan for what is not observed yet. Checkpoints it would begin at are read and checked before; those that can't be
  /// read are given up, so that they are stored anew where a lane comes by.
  /// - Parameter observations: by seed.
  private func planWhatIsLeft(
    observed observations: [Int: [Observation]], _ listener: Listener
  ) throws -> (ReplayPlan, RunCheckpoints) {
    while true {
      let records = try storedStates()
      let plan = try experiment.plan(progress(records, observed: observations))
      let needed = plan.restoredStates.map { records[$0.replica][$0.stored] }
      let unreadable = try unreadable(Set(needed), listener)
      if unreadable.isEmpty {
        let checkpoints = try RunCheckpoints(
          folder, database, seeds: Array(experiment.configuration.seeds), series: experiment.orders.map(\.description),
          averages: experiment.averages.map(\.description), stored: records, needed: needed,
          settings: .init(
            budget: experiment.configuration.diskBudget, chainLength: experiment.configuration.checkpointChain,
            level: experiment.configuration.checkpointLevel))
        return (plan, checkpoints)
      }
      try folder.giveUp(unreadable, in: database)
    }
  }

  /// Those of `records` whose states, or running averages, can't be read back.
  private func unreadable(_ records: Set<CheckpointRecord>, _ listener: Listener) throws -> [CheckpointRecord] {
    guard !records.isEmpty else { return [] }
    let all = try database.checkpoints()
    var state = TrainingState(values: try StateBuffer(count: experiment.stateCount))
    var unreadable: [CheckpointRecord] = []
    for record in records {
      do throws(StorageError) {
        try folder.restore(record, among: all, into: &state)
        for average in record.averages { try folder.restore(average, of: record, into: &state) }
      } catch {
        listener.didNotice("\(error); going on without it")
        unreadable.append(record)
      }
    }
    return unreadable
  }

  /// Checkpoints on paths of the run's orders, by seed.
  /// - Throws: `StorageError.damaged` for a row of a state that is on no path.
  func storedStates() throws -> [[CheckpointRecord]] {
    let series = Set(experiment.orders.map(\.description))
    let records = try database.checkpoints().filter { series.contains($0.series) }
    for record in records { try check(record) }
    return experiment.configuration.seeds.map { seed in records.filter { $0.seed == seed } }
  }

  /// - Throws: where a checkpoint's row tells of a state that no path of the run's leads over.
  func check(_ record: CheckpointRecord) throws {
    let order = try order(ofSeries: record.series)
    let length = record.n <= order.lastIterate ?? record.n ? order.sequence(record.n).count : 0
    let averageCount = record.averages.count
    guard record.position <= length, averageCount == 0 || averageCount == experiment.averages.count else {
      throw StorageError.damaged(
        path: folder.databasePath,
        reason: "the checkpoint \(record.file) lies on no path of the run's, or has other averages than the run")
    }
  }

  /// What is done, by seed.
  private func progress(
    _ records: [[CheckpointRecord]], observed observations: [Int: [Observation]]
  ) -> [ReplicaProgress] {
    let orders = Dictionary(uniqueKeysWithValues: experiment.orders.enumerated().map { ($1.description, $0) })
    return zip(experiment.configuration.seeds, records).map { seed, records in
      var progress = ReplicaProgress()
      for observation in observations[seed] ?? [] {
        if let order = orders[observation.series] { progress.observed.insert(Iterate(order: order, n: observation.n)) }
      }
      let averaged = averageNames.map { name in Set((observations[seed] ?? []).filter { $0.series == name }.map(\.n)) }
      progress.averagesObserved = averaged.dropFirst().reduce(averaged.first ?? []) { $0.intersection($1) }
      progress.stored = records.map { $0.point(order: orders[$0.series] ?? 0) }
      return progress
    }
  }

  private func result(
    of work: Work, findings: [AdaptiveFinding], fingerprint: String, wallSeconds: Double
  ) throws -> RunResult {
    let replay = work.replay
    let configuration = experiment.configuration
    let observations = try database.observations()
    let orders = zip(experiment.orders, experiment.points).flatMap { order, points in
      series(
        order.description, of: observations, cost: ReplayPlanner.gradientEvaluations(of: order, points: points))
    }
    let averageNames = experiment.orders.contains(.forward) ? averageNames : []
    let averages = averageNames.flatMap { series($0, of: observations, cost: 0) }
    let bySeries = Dictionary(grouping: orders + averages, by: \.order)
    let names = experiment.orders.flatMap { [$0.description] + ($0 == .forward ? averageNames : []) }
    let perUpdate = replay.gradientEvaluations > 0 ? replay.updateSeconds / Double(replay.gradientEvaluations) : nil
    let perObservation = replay.observations > 0 ? replay.observationSeconds / Double(replay.observations) : nil
    return RunResult(
      run: folder.path, orders: orders, averages: averages,
      summary: names.map { name in
        SeriesSummary(
          name, seeds: bySeries[name] ?? [],
          secondsPerUpdate: perUpdate ?? 0, secondsPerObservation: perObservation ?? 0)
      },
      gradientEvaluations: replay.gradientEvaluations, predictedGradientEvaluations: work.predictedGradientEvaluations,
      wallSeconds: wallSeconds, secondsPerUpdate: perUpdate, secondsPerObservation: perObservation,
      peakResidentBytes: ResidentMemory.peakBytes, predictedPeakBytes: work.predictedPeakBytes,
      findings: findings.isEmpty ? nil : findings, checkpointBytes: folder.checkpointBytes, stateBytes: experiment.stateBytes,
      lanes: configuration.lanes,
      fingerprint: fingerprint)
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
}
