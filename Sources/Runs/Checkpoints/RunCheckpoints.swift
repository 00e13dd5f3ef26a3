import Formats
import Replay
import Tensors

/// The checkpoints of a run. Their files are on disk before the database names them, and they are thinned out when a
/// budget requires it.
public final class RunCheckpoints: CheckpointStore {
  private let folder: RunFolder
  private let database: RunDatabase
  private let seeds: [Int]
  private let orders: [CompositionOrder]
  private let averages: [String]
  /// The stored checkpoints of each replica, in the order given to the planner.
  private let stored: [[CheckpointRecord]]
  private let indices: [CheckpointIndex]
  private let policy: CheckpointPolicy
  /// The size in bytes that all checkpoints together may take; nil for no limit.
  private let budget: Int?
  private let options: CheckpointOptions
  /// The run's identity in the labels of its files.
  private let identity: String
  /// Makes a state of zeros.
  private let makeState: @Sendable () throws -> StateBuffer
  /// The lock is held while files are added and removed, so that the budget holds for any number of lanes.
  private let retention: Lock<CheckpointRetention>

  /// - Parameters:
  ///   - seeds: The seed of each replica.
  ///   - orders: The orders that plans refer to by index.
  ///   - averages: The names of forward's running averages, in the order of the averaging rules.
  ///   - stored: The checkpoints of each replica that the plan may restore.
  ///   - needed: The checkpoints of `stored` that will be restored, each listed as often as it will be. They are kept
  ///     until then, even beyond the budget.
  ///   - makeState: Makes a state of zeros, for the states that others are stored as differences to.
  public init(
    _ folder: RunFolder, _ database: RunDatabase, seeds: [Int], orders: [CompositionOrder], averages: [String],
    stored: [[CheckpointRecord]], needed: [CheckpointRecord], policy: CheckpointPolicy,
    budget: Int?, makeState: @escaping @Sendable () throws -> StateBuffer
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
    self.makeState = makeState
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
      averages: try zip(self.averages, averages).map { rule, average in
        StoredAverage(file: CheckpointName.file(stem, average: rule), digest: try average.digest)
      }, bytes: 0, digest: try state.digest)
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
    // The codec's freed memory lies between records that stay, and the allocator would otherwise keep growing behind
    // them.
    FloatBuffer.returnFreedMemory()
  }

  /// Completes a checkpoint that exists already: the state has the same bits, and running averages are added if it
  /// has none.
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

  /// Writes the state's file, as a difference where possible, and sets the record's size and parent.
  private func write(_ state: borrowing TrainingState, _ record: inout CheckpointRecord) throws {
    var options = options
    options.label = CheckpointLabel(record, identity: identity).text
    let path = folder.checkpointPath(record.file)
    while let chain = retention.withLock({ [record] in $0.pinParent(of: record, longest: policy.chainLength) }),
      let last = chain.last
    {
      defer { retention.withLock { $0.unpin(last) } }
      var parent = TrainingState(values: try makeState())
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

  /// - Returns: false if a checkpoint of the chain is damaged. It is then removed together with those that build on
  ///   it, since nothing may be stored as the difference to an unreadable checkpoint.
  private func read(_ chain: [CheckpointRecord], into state: inout TrainingState) throws(StorageError) -> Bool {
    for record in chain {
      do throws(StorageError) {
        try folder.restore(following: record, into: &state)
      } catch {
        guard error.isDamage else { throw error }
        // The lock is held because another lane could otherwise store the same state meanwhile and lose it.
        try retention.withLock { retention throws(StorageError) in
          for record in retention.drop(record) { try remove(record) }
        }
        return false
      }
    }
    return true
  }

  /// - Returns: The total size of the files in bytes.
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

  /// The row goes first: a file without a row is cleaned up when the run is next opened, but a row without a file
  /// would be false.
  private func remove(_ record: CheckpointRecord) throws(StorageError) {
    try database.delete(record)
    try folder.removeFiles(of: record)
  }
}

/// Restores stored states and stores none.
struct StoredStateReader: CheckpointStore {
  private let folder: RunFolder
  private let records: [CheckpointRecord]
  private let index: CheckpointIndex

  /// - Parameters:
  ///   - records: The checkpoints that plans refer to by index.
  ///   - index: Contains the checkpoints that these are stored as differences to.
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
