import Formats
import Replay
import Tensors

/// The checkpoints of a run: files that are on disk before the database names them, and thinned out where a budget says
/// so.
public final class RunCheckpoints: CheckpointStore {
  private let folder: RunFolder
  private let database: RunDatabase
  private let seeds: [Int]
  private let orders: [CompositionOrder]
  private let averages: [String]
  /// By replica, as the plan was told of them.
  private let stored: [[CheckpointRecord]]
  private let indices: [CheckpointIndex]
  private let policy: CheckpointPolicy
  /// Bytes all checkpoints may take; nil for any number.
  private let budget: Int?
  private let options: CheckpointOptions
  /// What the files' labels call the run.
  private let identity: String
  /// Held while files come and go, so that the budget is kept whatever the number of lanes.
  private let retention: Lock<CheckpointRetention>

  /// - Parameters:
  ///   - folder: the run's, whose lock is held.
  ///   - database: the run's, open for writing.
  ///   - seeds: by replica.
  ///   - orders: those that plans name by their places.
  ///   - averages: what forward's running averages are called, by rule.
  ///   - stored: what the plan may restore, by replica.
  ///   - needed: which of `stored` will be restored, each as often as it is listed. They stay until then, even beyond the
  ///     budget.
  ///   - policy: when states are stored, and how.
  ///   - budget: bytes that all checkpoints may take; nil for any number.
  public init(
    _ folder: RunFolder, _ database: RunDatabase, seeds: [Int], orders: [CompositionOrder], averages: [String],
    stored: [[CheckpointRecord]], needed: [CheckpointRecord], policy: CheckpointPolicy,
    budget: Int?
  ) throws(StorageError) {
    self.folder = folder
    self.database = database
    self.seeds = seeds
    self.orders = orders
    self.averages = averages
    self.stored = stored
    indices = stored.map(CheckpointIndex.init)
    self.policy = policy
    self.budget = budget
    options = CheckpointOptions(level: policy.level)
    identity = try database.record().identity
    var retained = CheckpointRetention(try database.checkpoints())
    for record in needed { retained.pin(record) }
    retention = Lock(retained)
    try folder.makeCheckpointFolder()
  }

  public func save(
    _ state: borrowing TrainingState, averages: [StoredState], replica: Int, at point: PathPoint
  ) throws {
    try database.checkIsThere()
    let (seed, order, n) = (seeds[replica], orders[point.iterate.order], point.iterate.n)
    let stem = CheckpointName.stem(seed: seed, order: order, n: n, position: point.position)
    var record = CheckpointRecord(
      seed: seed, order: order, n: n, position: point.position, file: CheckpointName.file(stem),
      averages: zip(self.averages, averages).map { rule, average in
        StoredAverage(file: CheckpointName.file(stem, average: rule), digest: average.read { $0.digest })
      }, bytes: 0, digest: state.digest)
    switch retention.withLock({ $0.claim(record.place) }) {
    case .taken:
      return
    case .stored(let there):
      try complete(there, as: record, averages)
    case .reserved:
      do {
        try write(state, &record)
        record.bytes += try write(averages, of: record)
        try retention.withLock { [record] retention throws(StorageError) in
          try database.insert(record)
          for superfluous in retention.add(record, budget: budget) { try remove(superfluous) }
        }
      } catch {
        retention.withLock { [record] in $0.giveUp(record.place) }
        throw error
      }
    }
    // What the codec took lies between records, which stay: an allocator would go on behind them.
    FloatBuffer.returnFreedMemory()
  }

  /// A state that is there already has the same bits. One without its averages gets them; one with them keeps them.
  private func complete(
    _ there: CheckpointRecord, as record: CheckpointRecord, _ averages: [StoredState]
  ) throws {
    guard there.digest == record.digest, there.averages.isEmpty || record.averages.isEmpty || there.averages == record.averages
    else {
      throw StorageError.damaged(
        path: folder.checkpointPath(there.file),
        reason: "it was stored with the digest \(there.digest), and its state, computed again, has \(record.digest)")
    }
    guard there.averages.isEmpty, !record.averages.isEmpty else { return }
    var completed = there
    completed.averages = record.averages
    completed.bytes += try write(averages, of: completed)
    try retention.withLock { [completed] retention throws(StorageError) in
      try database.replace(completed)
      retention.replace(there, by: completed)
    }
  }

  /// Writes the state's file, as a difference where one may be, and notes its size and its parent.
  private func write(_ state: borrowing TrainingState, _ record: inout CheckpointRecord) throws {
    var options = options
    options.label = CheckpointLabel(record, identity: identity).text
    let path = folder.checkpointPath(record.file)
    while let chain = retention.withLock({ [record] in $0.pinParent(of: record, longest: policy.chainLength) }),
      let last = chain.last
    {
      defer { retention.withLock { $0.unpin(last) } }
      var parent = TrainingState(values: try StateBuffer(count: state.values.count))
      guard try read(chain, into: &parent) else { continue }
      record.parent = last.position
      record.bytes = try CheckpointFile.write(
        state.values, updateCount: state.updateCount, parent: parent.values, parentDigest: last.digest,
        options: options, to: path
      ).byteCount
      return
    }
    record.bytes = try CheckpointFile.write(
      state.values, updateCount: state.updateCount, options: options, to: path
    ).byteCount
  }

  /// - Returns: false where one of the chain is damaged. It is then given up, with those that are differences to it: nothing is
  ///   ever stored as the difference to what can't be read.
  private func read(_ chain: [CheckpointRecord], into state: inout TrainingState) throws(StorageError) -> Bool {
    for record in chain {
      do throws(StorageError) {
        try folder.restore(following: record, into: &state)
      } catch {
        guard error.isDamage else { throw error }
        // Under the lock: another lane could store the same state meanwhile, and lose it.
        try retention.withLock { retention throws(StorageError) in
          for record in retention.drop(record) { try remove(record) }
        }
        return false
      }
    }
    return true
  }

  /// - Returns: the sizes of the files, together.
  private func write(_ averages: [StoredState], of record: CheckpointRecord) throws -> Int {
    var bytes = 0
    for ((average, stored), rule) in zip(zip(averages, record.averages), self.averages) {
      var options = options
      options.label = CheckpointLabel(record, average: rule, identity: identity).text
      let path = folder.checkpointPath(stored.file)
      bytes += try average.read { [options] average throws(StorageError) in
        try CheckpointFile.write(
          average.values, updateCount: average.updateCount, options: options, to: path
        ).byteCount
      }
    }
    return bytes
  }

  public func restore(_ index: Int, replica: Int, into state: inout TrainingState, averages: [StoredState]) throws {
    let record = stored[replica][index]
    try folder.restore(record, among: indices[replica], into: &state, averages: averages)
    retention.withLock { $0.unpin(record) }
  }

  /// The row goes first: a file without a row is cleaned up at the next opening, a row without a file would be a lie.
  private func remove(_ record: CheckpointRecord) throws(StorageError) {
    try database.delete(record)
    try folder.removeFiles(of: record)
  }
}

/// Brings back stored states and stores none.
struct StoredStateReader: CheckpointStore {
  private let folder: RunFolder
  private let records: [CheckpointRecord]
  private let index: CheckpointIndex

  /// - Parameters:
  ///   - records: those that plans name by their places.
  ///   - index: where the states are found that they are differences to.
  init(folder: RunFolder, records: [CheckpointRecord], among index: CheckpointIndex) {
    self.folder = folder
    self.records = records
    self.index = index
  }

  func save(_ state: borrowing TrainingState, averages: [StoredState], replica: Int, at point: PathPoint) {}

  func restore(_ stored: Int, replica: Int, into state: inout TrainingState, averages: [StoredState]) throws {
    try folder.restore(records[stored], among: index, into: &state, averages: averages)
  }
}
