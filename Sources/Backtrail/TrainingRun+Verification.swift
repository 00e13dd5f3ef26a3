import Foundation
import Replay
import Storage
import Tensors

/// What `verify` found.
public struct VerificationReport: Codable, Sendable {
  public internal(set) var checkpoints = 0
  public internal(set) var observations = 0
  /// Segments replayed and compared bit for bit.
  public internal(set) var replays = 0
  public internal(set) var gradientEvaluations = 0
  /// What is damaged, each with its file or iterate.
  public internal(set) var damaged: [String] = []
  /// What of it was made anew.
  public internal(set) var repaired: [String] = []

  /// Whether something damaged is left.
  public var isClean: Bool { damaged.count == repaired.count }
}

extension TrainingRun {
  /// Reads every stored byte against its checksum, and replays random segments against their digests.
  /// - Parameters:
  ///   - replays: how many segments: from one stored state to the next, or to an observed iterate.
  ///   - repairs: whether what is damaged is made anew where it can be recomputed.
  public func verify(replays: Int, repairs: Bool) async throws -> VerificationReport {
    let lock = try RunLock(folder)
    defer { lock.hold() }
    SlotFiles.removeAbandoned(in: folder, isAlone: true)
    var report = VerificationReport()
    try database.checkIntegrity()
    for row in try database.brokenRows(removes: repairs) {
      report.damaged.append("\(folder.databasePath): \(row)")
      if repairs { report.repaired.append("\(row): removed; 'backtrail resume' makes it anew") }
    }
    guard report.isClean else { return report }
    try RunJournal.verify(experiment, in: folder)
    try await verifyCheckpoints(repairs: repairs, &report)
    var random = SystemRandomNumberGenerator()
    let observations = try database.observations().filter { observation in
      experiment.orders.contains { $0.description == observation.series }
    }
    report.observations = observations.count
    let checkpoints = try database.checkpoints()
    let segments = checkpoints.map(Segment.checkpoint) + observations.map(Segment.observation)
    for segment in segments.shuffled(using: &random).prefix(replays) {
      try await replay(segment, repairs: repairs, &report)
    }
    return report
  }

  /// What a replay can be compared with.
  private enum Segment {
    case checkpoint(CheckpointRecord)
    case observation(Observation)
  }

  private func verifyCheckpoints(repairs: Bool, _ report: inout VerificationReport) async throws {
    let records = try database.checkpoints()
    for record in records {
      report.checkpoints += 1
      do {
        var state = TrainingState(values: try StateBuffer(count: experiment.stateCount))
        try folder.restore(record, among: records, into: &state)
        for average in record.averages { try folder.restore(average, of: record, into: &state) }
      } catch let error as StorageError {
        report.damaged.append("\(error)")
        if repairs { try await repair(record, &report) }
      }
    }
  }

  /// Computes a checkpoint's state, and its running averages, again and writes them anew.
  private func repair(_ record: CheckpointRecord, _ report: inout VerificationReport) async throws {
    @Sendable func write(_ state: borrowing TrainingState, to file: String, digest: Digest) throws {
      guard state.digest == digest else {
        throw RunError.damaged("\(file) can't be repaired: its replay has the digest \(state.digest), not \(digest)")
      }
      try folder.write(state, to: file)
    }
    let evaluations: Int
    if record.averages.isEmpty {
      let (state, updates) = try await state(at: record)
      try state.read { state throws in try write(state, to: record.file, digest: record.digest) }
      evaluations = updates
    } else {
      // Averages are kept along forward's path alone.
      let replica = try replica(ofSeed: record.seed)
      evaluations = try await followForward(
        to: record.position, replica: replica, averages: experiment.averages, records: try whole(besides: record)
      ) { average, state, _ in
        let stored = average.map { record.averages[$0] }
        try write(state, to: stored?.file ?? record.file, digest: stored?.digest ?? record.digest)
      }
    }
    report.gradientEvaluations += evaluations
    report.repaired.append("\(record.file): computed again with \(evaluations) gradient evaluations")
  }

  private func replay(_ segment: Segment, repairs: Bool, _ report: inout VerificationReport) async throws {
    report.replays += 1
    switch segment {
    case .checkpoint(let record):
      let (state, evaluations) = try await state(at: record)
      report.gradientEvaluations += evaluations
      let digest = state.read { $0.digest }
      guard digest != record.digest else { return }
      report.damaged.append(
        "\(folder.databasePath): the checkpoint \(record.file) has the digest \(record.digest), but its replay \(digest)")
    case .observation(let observation):
      guard let order = experiment.orders.first(where: { $0.description == observation.series }) else { return }
      let found = try await replayedIterate(order: order, n: observation.n, seed: observation.seed)
      report.gradientEvaluations += found.gradientEvaluations
      var expected = observation
      (expected.testLoss, expected.testAccuracy, expected.digest) = (found.testLoss, found.testAccuracy, found.digest)
      guard expected != observation else { return }
      report.damaged.append(
        """
        \(folder.databasePath): iterate \(observation.n) of \(observation.series) (seed \(observation.seed)) was observed \
        with the loss \(observation.testLoss) and the digest \(observation.digest), but its replay has \
        \(found.testLoss) and \(found.digest)
        """)
      if repairs {
        try database.replace(expected)
        report.repaired.append("iterate \(observation.n) of \(observation.series): observed again")
      }
    }
  }

  /// The state at a checkpoint, replayed from the stored state before it.
  private func state(at record: CheckpointRecord) async throws -> (StoredState, gradientEvaluations: Int) {
    guard let order = experiment.orders.first(where: { $0.description == record.series }) else {
      throw RunError.damaged("\(record.file) belongs to \(record.series), which the run does not have")
    }
    let path = order.sequence(record.n).prefix(record.position)
    let (state, evaluations, _) = try await bringBack(
      .listed(ListedOrder(name: record.file, sequences: [path])), n: 1, replica: try replica(ofSeed: record.seed),
      records: try whole(besides: record))
    return (state, evaluations)
  }

  /// Checkpoints of a record's seed that a replay to it may begin at.
  private func whole(besides record: CheckpointRecord) throws -> [CheckpointRecord] {
    let all = try storedStates()[try replica(ofSeed: record.seed)]
    return all.filter { $0 != record && $0.parent != record.position && (try? folder.verify($0, among: all)) != nil }
  }
}
