import Formats
import Foundation
import Replay
import Tensors

extension Run {
  /// Checks every stored byte of a run against its checksum, checks that a finished run is complete, and replays
  /// random segments to compare them with their digests. It continues after each damage and reports all.
  /// - Parameters:
  ///   - replays: The number of segments to replay. A segment leads from one stored state to the next, or to an
  ///     observed iterate or average.
  ///   - repairs: Whether damaged data is made anew if it can be recomputed.
  ///   - progress: Receives the progress of the replays.
  ///   - problem: Makes the problem as it was when the run was made.
  public static func verify(
    _ path: String, replays: Int = 8, repairs: Bool = false, allowNumericsChange: Bool = false,
    progress: ReplayProgress = ReplayProgress(), making problem: (RunContents) throws -> Problem
  ) async throws -> VerificationReport {
    let folder = try RunFolder.open(path)
    let lock = try RunLock(folder)
    defer { lock.hold() }
    var stored = StoredRunVerification(folder, repairs: repairs)
    try stored.run()
    guard stored.canOpen else { return stored.report }
    let run = try open(path, allowNumericsChange: allowNumericsChange, repairs: true, making: problem)
    if repairs { try run.database.beginWriting() }
    if let batches = run.problem.batches {
      if stored.isJournalLost {
        if repairs { try RunJournal.rewrite(batches, seeds: run.workload.seeds, in: folder) }
      } else {
        do throws(StorageError) {
          try RunJournal.check(batches, seeds: run.workload.seeds, in: folder)
        } catch {
          stored.report.damaged.append("\(error)")
        }
      }
    }
    var verification = RunVerification(run, stored, progress)
    try await verification.run(replays: replays)
    return verification.report
  }

  /// Verifies a run of a given problem.
  public static func verify(
    _ path: String, _ problem: Problem, replays: Int = 8, repairs: Bool = false, allowNumericsChange: Bool = false,
    progress: ReplayProgress = ReplayProgress()
  ) async throws -> VerificationReport {
    try await verify(
      path, replays: replays, repairs: repairs, allowNumericsChange: allowNumericsChange, progress: progress) { _ in problem }
  }
}

/// The part of a verification that computes states again.
private struct RunVerification<Problem: TrainingProblem> {
  let run: Run<Problem>
  let repairs: Bool
  let progress: ReplayProgress
  var report: VerificationReport
  /// The checkpoints of each seed that replays may start from.
  private var sound: [Int: [CheckpointRecord]] = [:]
  /// The same checkpoints indexed by their paths; nil after some were added.
  private var stored: [Int: StoredStates] = [:]
  /// The checkpoints that replays may not start from, with their damaged files.
  private var damaged: [CheckpointRecord: [String]]

  init(_ run: Run<Problem>, _ stored: StoredRunVerification, _ progress: ReplayProgress) {
    self.run = run
    repairs = stored.repairs
    report = stored.report
    damaged = stored.damagedCheckpoints
    self.progress = progress
  }

  mutating func run(replays: Int) async throws {
    let records = try checkpointsOnPaths()
    try decode(records)
    if repairs {
      for record in records { if let files = damaged[record] { try await repair(record, files) } }
    }
    let observations = try run.database.observations(leavesOutBroken: true)
    let diverged = try run.database.divergences(leavesOutBroken: true)
    report.observations = observations.count + diverged.count
    var random = SystemRandomNumberGenerator()
    let segments = records.filter { damaged[$0] == nil }.map(Segment.checkpoint) + observations.map(Segment.observation) + diverged.map(Segment.divergence)
    // With different numerics a replay has different bits and says nothing about what is stored.
    for segment in segments.shuffled(using: &random).prefix(run.hasSameNumerics ? max(0, replays) : 0) {
      try Task.checkCancellation()
      report.replays += 1
      switch segment {
      case .checkpoint(let record): try await replay(record)
      case .observation(let observation): try await replay(observation)
      case .divergence(let iterate): try await replay(iterate)
      }
    }
  }

  /// A stored result that a replay can be compared with.
  private enum Segment {
    case checkpoint(CheckpointRecord)
    case observation(Observation)
    case divergence(DivergedIterate)
  }

  // MARK: Checkpoints

  /// All checkpoints except those whose rows describe states the run can't have.
  private mutating func checkpointsOnPaths() throws -> [CheckpointRecord] {
    var records: [CheckpointRecord] = []
    for record in try run.database.checkpoints(leavesOutBroken: true) {
      do {
        try run.check(record)
        records.append(record)
      } catch {
        report.damaged.append("\(error)")
        guard repairs else { continue }
        try run.database.delete(record)
        report.repaired.append("\(record.file): its row is removed")
      }
    }
    return records
  }

  /// Decodes every checkpoint once, reading differences over their parents where these come just before.
  private mutating func decode(_ records: [CheckpointRecord]) throws {
    var state = TrainingState(values: try run.specification.makeState())
    var average = TrainingState(values: try run.specification.makeState())
    let index = CheckpointIndex(records)
    var before: CheckpointRecord?
    for record in records where damaged[record] == nil {
      do throws(StorageError) {
        let follows = record.parent != nil && before?.isParent(of: record) == true
        if follows {
          try run.folder.restore(following: record, into: &state)
        } else {
          try run.folder.restore(record, among: index, into: &state)
        }
        before = record
        for stored in record.averages { try run.folder.restore(stored, of: record, into: &average) }
        add(record)
      } catch {
        before = nil
        // If it is the difference to a damaged checkpoint, that damage has been reported already.
        guard !isDifferenceToDamaged(record, among: index) else { continue }
        report.damaged.append("\(error)")
        damaged[record] = [error.path]
      }
    }
  }

  private func isDifferenceToDamaged(_ record: CheckpointRecord, among index: CheckpointIndex) -> Bool {
    index.chain(to: record)?.dropLast().contains { damaged[$0] != nil } ?? false
  }

  /// Computes a checkpoint's damaged state and running averages again and rewrites their files.
  private mutating func repair(_ record: CheckpointRecord, _ files: [String]) async throws {
    let run = run
    @Sendable func write(_ state: borrowing TrainingState, _ average: Int?) throws {
      let digest = average.map { record.averages[$0].digest } ?? record.digest
      let found = try state.digest
      guard found == digest else {
        throw RunError.damaged(
          "\(record.file) can't be repaired: its replay has the digest \(found), not \(digest) as the database says")
      }
      try run.folder.rewrite(state, of: record, average: average.map { ($0, run.workload.averages[$0].description) }, in: run.database)
    }
    do {
      let evaluations: Int
      if record.averages.isEmpty {
        let recalled = try await state(at: record)
        try recalled.state.read { state throws in try write(state, nil) }
        evaluations = recalled.gradientEvaluations
      } else {
        evaluations = try await replayAverages(to: record.position, seed: record.seed, besides: record) { average, state, _ in
          try write(state, average)
        }
      }
      report.gradientEvaluations += evaluations
      report.repaired += files.map { "\($0): computed again with \(evaluations) gradient evaluations" }
      add(record)
    } catch let error as RunError {
      // Others may still be repairable.
      guard case .damaged = error else { throw error }
      report.damaged.append("\(error)")
    }
  }

  private mutating func replay(_ record: CheckpointRecord) async throws {
    if record.averages.isEmpty {
      let recalled = try await state(at: record)
      report.gradientEvaluations += recalled.gradientEvaluations
      compare(record, average: nil, try recalled.state.digest)
      return
    }
    let found = Lock<[(average: Int?, digest: Digest)]>([])
    report.gradientEvaluations += try await replayAverages(to: record.position, seed: record.seed, besides: record) {
      average, state, _ in
      let digest = try state.digest
      found.withLock { $0.append((average, digest)) }
    }
    for found in found.withLock({ $0 }) { compare(record, average: found.average, found.digest) }
  }

  private mutating func compare(_ record: CheckpointRecord, average: Int?, _ found: Digest) {
    let stored = average.map { (record.averages[$0].file, record.averages[$0].digest) } ?? (record.file, record.digest)
    guard stored.1 != found else { return }
    report.damaged.append(
      "\(run.folder.databasePath): the checkpoint \(stored.0) has the digest \(stored.1), but its replay \(found)")
  }

  /// The state of a checkpoint, replayed from the stored state before it.
  private mutating func state(at record: CheckpointRecord) async throws -> RecalledState {
    let path = try run.known(record.order).sequence(record.n).prefix(record.position)
    let states = try states(ofSeed: record.seed)
    return try await run.recall(
      .listed(ListedOrder(name: record.file, sequences: [path])), 1, replica: try run.replica(ofSeed: record.seed),
      from: states, isUsable: { Self.isIndependent($0, of: record, states) }, progress: progress)
  }

  /// Replays forward's path to n, from the stored averages before it.
  private mutating func replayAverages(
    to n: Int, seed: Int, besides record: CheckpointRecord?, visit: @escaping ForwardVisitor<Problem.Map.Workspace>.Visit
  ) async throws -> Int {
    let states = try states(ofSeed: seed)
    return try await run.replayForward(
      to: n, replica: try run.replica(ofSeed: seed), averages: run.workload.averages, from: states,
      isUsable: { stored in record.map { Self.isIndependent(stored, of: $0, states) } ?? (stored.position < n) },
      progress: progress, visit: visit)
  }

  private mutating func add(_ record: CheckpointRecord) {
    sound[record.seed, default: []].append(record)
    stored[record.seed] = nil
  }

  /// The intact checkpoints of a seed. They are indexed once, not for every replay.
  private mutating func states(ofSeed seed: Int) throws -> StoredStates {
    if let states = stored[seed] { return states }
    let states = try StoredStates(sound[seed] ?? [], in: run)
    stored[seed] = states
    return states
  }

  /// Whether a stored state lies before a record and can be read without it.
  private static func isIndependent(_ stored: CheckpointRecord, of record: CheckpointRecord, _ states: StoredStates) -> Bool {
    stored != record && stored.position < record.position && states.index.chain(to: stored)?.contains(record) == false
  }

  // MARK: Observations

  private mutating func replay(_ observation: Observation) async throws {
    let (seed, series, n) = (observation.seed, observation.series, observation.n)
    guard let (found, evaluations) = try await observedAgain(series, n, seed: seed) else { return }
    report.gradientEvaluations += evaluations
    guard found?.agrees(with: observation) != true else { return }
    report.damaged.append(
      """
      \(run.folder.databasePath): iterate \(n) of \(series) (seed \(seed)) was observed with \(observation.measurements) and the digest \
      \(observation.digest), but its replay has \(found.map { "\($0.measurements) and \($0.digest)" } ?? "diverged")
      """)
    if repairs {
      if let found {
        try run.database.replace(found)
      } else {
        try run.database.diverge([DivergedIterate(seed: seed, series: series, n: n)])
      }
      report.repaired.append("iterate \(n) of \(series): observed again")
    }
  }

  private mutating func replay(_ iterate: DivergedIterate) async throws {
    let (seed, series, n) = (iterate.seed, iterate.series, iterate.n)
    guard let (found, evaluations) = try await observedAgain(series, n, seed: seed) else { return }
    report.gradientEvaluations += evaluations
    guard let found, try !run.hasToDiverge(iterate) else { return }
    report.damaged.append(
      """
      \(run.folder.databasePath): iterate \(n) of \(series) (seed \(seed)) counts as diverged, but its replay has \(found.measurements) \
      and the digest \(found.digest)
      """)
    if repairs {
      try run.database.replace(iterate, by: found)
      report.repaired.append("iterate \(n) of \(series): observed again")
    }
  }

  /// The iterate or average as a replay observes it, nil if it has diverged; and the updates that took. Nil for an average that the run
  /// does not keep.
  private mutating func observedAgain(
    _ series: Series, _ n: Int, seed: Int
  ) async throws -> (Observation?, gradientEvaluations: Int)? {
    let specification = run.specification
    @Sendable func observed(_ state: borrowing TrainingState, _ workspace: inout Problem.Map.Workspace) throws -> Observation? {
      let measurements = try specification.measure(state, seed: seed, workspace: &workspace)
      guard try state.values.isFinite(first: specification.numberCount), !specification.workload.isDiverged(measurements) else { return nil }
      return Observation(
        seed: seed, series: series, n: n, measurements: measurements, trainingLoss: series.order == nil ? nil : state.trainingLoss,
        digest: try state.digest)
    }
    switch series {
    case .average(let rule):
      guard let average = run.workload.averages.firstIndex(of: rule) else { return nil }
      let found = Lock<Observation?>(nil)
      let evaluations = try await replayAverages(to: n, seed: seed, besides: nil) { index, state, workspace in
        guard index == average else { return }
        let observation = try observed(state, &workspace)
        found.withLock { $0 = observation }
      }
      return (found.withLock { $0 }, evaluations)
    case .order(let order):
      let order = try run.known(order)
      let length = try specification.sequence(of: order, n).count
      let replica = try run.replica(ofSeed: seed)
      let recalled = try await run.recall(
        order, n, replica: replica, from: states(ofSeed: seed), isUsable: { $0.position < length }, progress: progress)
      var workspace = try specification.maps[replica].makeWorkspace()
      return (try recalled.state.read { state throws in try observed(state, &workspace) }, recalled.gradientEvaluations)
    }
  }
}
