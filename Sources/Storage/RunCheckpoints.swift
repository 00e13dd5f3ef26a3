import Foundation
import GRDB
import Replay
import Tensors

/// A checkpoint as the run database knows it.
public struct CheckpointRecord: Codable, Hashable, Sendable, FetchableRecord, PersistableRecord {
  public var seed: Int
  /// The composition order and iterate on whose path the state lies.
  public var series: String
  public var n: Int
  /// Updates the state has had: the first so many batches of the iterate's sequence.
  public var position: Int
  /// Its file in `checkpoints/`.
  public var file: String
  /// Forward's running averages at this state, by rule; empty without any.
  public var averages: [StoredAverage]
  /// The checkpoint of the same path, by its position, that the state is stored as the difference to; nil for one that
  /// stands alone.
  public var parent: Int?
  /// Of all its files.
  public var bytes: Int
  /// Of the training state and its update count.
  public var digest: Digest

  public static let databaseTableName = "checkpoint"

  var files: [String] { [file] + averages.map(\.file) }
}

/// A running average that was stored with a state.
public struct StoredAverage: Codable, Hashable, Sendable {
  /// Its file in `checkpoints/`.
  public var file: String
  /// Of its floats and its update count.
  public var digest: Digest
}

/// The checkpoints of a run: files that are on disk before the database names them, and thinned out where a budget says
/// so.
public final class RunCheckpoints: CheckpointStore {
  private let folder: RunFolder
  private let database: RunDatabase
  private let seeds: [Int]
  private let series: [String]
  private let averages: [String]
  /// By replica, as the plan was told of them.
  private let stored: [[CheckpointRecord]]
  private let budget: Int?
  /// How many differences may follow each other.
  private let chainLength: Int
  private let options: CheckpointOptions
  /// Held while files come and go, so that the budget is kept whatever the number of lanes.
  private let retention: Lock<CheckpointRetention>

  /// - Parameters:
  ///   - seeds: by replica.
  ///   - series: by order.
  ///   - averages: what forward's running averages are called, by rule.
  ///   - stored: what the plan may restore, by replica.
  ///   - needed: which of `stored` will be restored, each as often as it is listed. They stay until then, even beyond the
  ///     budget.
  ///   - budget: bytes all checkpoints may take; nil for any number.
  ///   - chainLength: how many checkpoints of a path may be differences to the one before, in a row.
  ///   - level: zstd's.
  public init(
    _ folder: RunFolder, _ database: RunDatabase, seeds: [Int], series: [String], averages: [String],
    stored: [[CheckpointRecord]],
    needed: [CheckpointRecord], budget: Int?, chainLength: Int, level: Int
  ) throws(StorageError) {
    self.folder = folder
    self.database = database
    self.seeds = seeds
    self.series = series
    self.averages = averages
    self.stored = stored
    self.budget = budget
    self.chainLength = chainLength
    options = CheckpointOptions(level: level)
    var retained = CheckpointRetention(try database.checkpoints())
    for record in needed { retained.pin(record) }
    retention = Lock(retained)
    try folder.makeCheckpointFolder()
  }

  public func save(
    _ state: borrowing TrainingState, averages: [StoredState], replica: Int, at point: PathPoint
  ) throws {
    let name = "\(seeds[replica])-\(Self.slug(series[point.iterate.order]))-\(point.iterate.n)-\(point.position)"
    var record = CheckpointRecord(
      seed: seeds[replica], series: series[point.iterate.order], n: point.iterate.n, position: point.position,
      file: "\(name).ckpt",
      averages: zip(self.averages, averages).map { rule, average in
        StoredAverage(file: "\(name)-\(Self.slug(rule)).ckpt", digest: average.read { $0.digest })
      }, bytes: 0, digest: state.digest)
    // A state that is there already has the same bits; one with its averages is never replaced by one without.
    guard !retention.withLock({ $0.index.contains(record) }) else { return }
    let chain = retention.withLock { $0.pinParent(of: record, longest: chainLength) }
    defer { retention.withLock { $0.unpin(chain?.last) } }
    let path = folder.checkpointPath(record.file)
    if let chain, let last = chain.last {
      var parent = TrainingState(values: try StateBuffer(count: state.values.count))
      try folder.restore(chain, into: &parent)
      record.parent = last.position
      record.bytes = try CheckpointFile.write(
        state.values, updateCount: state.updateCount, parent: parent.values, parentDigest: last.digest,
        options: options, to: path
      ).byteCount
    } else {
      record.bytes = try CheckpointFile.write(
        state.values, updateCount: state.updateCount, options: options, to: path
      ).byteCount
    }
    for (average, stored) in zip(averages, record.averages) {
      let path = folder.checkpointPath(stored.file)
      record.bytes += try average.read { average throws(StorageError) in
        try CheckpointFile.write(
          average.values, updateCount: average.updateCount, options: options, to: path
        ).byteCount
      }
    }
    try retention.withLock { retention throws(StorageError) in
      try database.insert(record)
      for superfluous in retention.add(record, budget: budget) { try remove(superfluous) }
    }
    // What the codec took lies between records, which stay: an allocator would go on behind them.
    FloatBuffer.returnFreedMemory()
  }

  public func restore(_ index: Int, replica: Int, into state: inout TrainingState, averages: [StoredState]) throws {
    let record = stored[replica][index]
    try folder.restore(record, among: stored[replica], into: &state, averages: averages)
    retention.withLock { $0.unpin(record) }
  }

  /// The row goes first: a file without a row is cleaned up at the next opening, a row without a file would be a lie.
  private func remove(_ record: CheckpointRecord) throws(StorageError) {
    try database.delete(record)
    try folder.removeFiles(of: record)
  }

  /// An order or an average as part of a file's name; orders from files are told apart by a hash of their path.
  private static func slug(_ series: String) -> String {
    guard !series.hasPrefix("file:") else {
      return "file-" + Digest(of: Array(series.utf8).span.bytes).description.prefix(12)
    }
    return series.replacingOccurrences(of: ":", with: "_")
  }
}

/// Brings back stored states and stores none.
public struct StoredStateReader: CheckpointStore {
  let folder: RunFolder
  let records: [CheckpointRecord]

  public init(folder: RunFolder, records: [CheckpointRecord]) {
    self.folder = folder
    self.records = records
  }

  public func save(
    _ state: borrowing TrainingState, averages: [StoredState], replica: Int, at point: PathPoint
  ) {}

  public func restore(_ index: Int, replica: Int, into state: inout TrainingState, averages: [StoredState]) throws {
    try folder.restore(records[index], among: records, into: &state, averages: averages)
  }
}

extension RunFolder {
  /// Writes the state in a checkpoint's file, the one of its own or one of an average, over what is there.
  public func write(_ state: borrowing TrainingState, to file: String) throws(StorageError) {
    _ = try CheckpointFile.write(state.values, updateCount: state.updateCount, to: checkpointPath(file))
  }

  /// Reads a checkpoint, with those it is a difference to, and checks that it is the one the record tells of.
  /// - Parameters:
  ///   - records: where its parents are found.
  ///   - averages: take its running averages, by rule; empty where none are wanted.
  public func restore(
    _ record: CheckpointRecord, among records: [CheckpointRecord], into state: inout TrainingState,
    averages: [StoredState] = []
  ) throws(StorageError) {
    guard let chain = CheckpointIndex(records).chain(to: record) else {
      throw .damaged(path: checkpointPath(record.file), reason: "the checkpoint it is the difference to is missing")
    }
    try restore(chain, into: &state)
    for (average, stored) in zip(averages, record.averages) {
      try average.write { average throws(StorageError) in
        try restore(stored, of: record, into: &average)
      }
    }
  }

  /// Reads one of a checkpoint's running averages, and checks that it is the one the record tells of.
  public func restore(
    _ average: StoredAverage, of record: CheckpointRecord, into state: inout TrainingState
  ) throws(StorageError) {
    try restore(average.file, position: record.position, digest: average.digest, into: &state)
  }

  /// Reads a chain of checkpoints, each over the one before.
  func restore(_ chain: [CheckpointRecord], into state: inout TrainingState) throws(StorageError) {
    for record in chain { try restore(record.file, position: record.position, digest: record.digest, into: &state) }
  }

  private func restore(
    _ file: String, position: Int, digest: Digest, into state: inout TrainingState
  ) throws(StorageError) {
    let path = checkpointPath(file)
    let header = try CheckpointFile.read(path, into: &state.values)
    state.updateCount = header.updateCount
    guard header.updateCount == position, header.digest == digest else {
      throw .damaged(
        path: path,
        reason: """
          it holds a state after \(header.updateCount) updates with the digest \(header.digest), not the one after \
          \(position) with \(digest)
          """)
    }
  }

  /// Checks every byte of a checkpoint's files, and of those it is a difference to.
  public func verify(_ record: CheckpointRecord, among records: [CheckpointRecord]) throws(StorageError) {
    guard let chain = CheckpointIndex(records).chain(to: record) else {
      throw .damaged(path: checkpointPath(record.file), reason: "the checkpoint it is the difference to is missing")
    }
    for file in chain.map(\.file) + record.averages.map(\.file) {
      try CheckpointFile.verify(checkpointPath(file))
    }
  }
}

extension CheckpointRecord {
  /// Where the state lies, for a planner.
  /// - Parameter order: the index of the record's series among the planner's orders.
  public func point(order: Int) -> ReplicaProgress.StoredPoint {
    .init(PathPoint(Iterate(order: order, n: n), position: position), hasAverages: !averages.isEmpty)
  }
}

/// Which checkpoints to keep within a budget.
///
/// For every path the checkpoints stay dense near its end and grow sparser towards its start: the one goes whose removal
/// opens the smallest gap in proportion to the distance from the gap to the path's end. So gaps grow geometrically
/// towards the start, k checkpoints reach back over a length exponential in k, and from any point of the path the way
/// back to a checkpoint is at most a fixed fraction of the way to the path's end. The last checkpoint of a path goes
/// when all other paths have no more than one either.
///
/// A checkpoint that others are differences to stays while they do.
struct CheckpointRetention: Sendable {
  private(set) var index: CheckpointIndex
  private var bytes: Int
  /// Checkpoints that will be restored, or that a difference to is being written, and how often.
  private var pinned: [CheckpointRecord: Int] = [:]

  init(_ records: [CheckpointRecord]) {
    index = CheckpointIndex(records)
    bytes = records.reduce(0) { $0 + $1.bytes }
  }

  /// The chain to what `record` may be stored as the difference to, whose last stays until it is unpinned.
  mutating func pinParent(of record: CheckpointRecord, longest: Int) -> [CheckpointRecord]? {
    let chain = index.parentChain(of: record, longest: longest)
    if let last = chain?.last { pin(last) }
    return chain
  }

  /// Keeps a checkpoint until it is unpinned as often as pinned.
  mutating func pin(_ record: CheckpointRecord) { pinned[record, default: 0] += 1 }

  mutating func unpin(_ record: CheckpointRecord?) {
    guard let record, let count = pinned[record] else { return }
    pinned[record] = count > 1 ? count - 1 : nil
  }

  /// Takes in a record and gives up those that the budget has no room for, never the new one.
  mutating func add(_ record: CheckpointRecord, budget: Int?) -> [CheckpointRecord] {
    index.insert(record)
    bytes += record.bytes
    var superfluous: [CheckpointRecord] = []
    while let budget, bytes > budget, let next = leastUseful(besides: record) {
      index.remove(next)
      bytes -= next.bytes
      superfluous.append(next)
    }
    return superfluous
  }

  private func leastUseful(besides newest: CheckpointRecord) -> CheckpointRecord? {
    var best: (score: Double, record: CheckpointRecord)?
    for records in index.paths.values {
      for (place, record) in records.enumerated() where record != newest {
        guard pinned[record] == nil, !index.hasChild(record) else { continue }
        let before = place > 0 ? records[place - 1].position : 0
        let isLast = place == records.count - 1
        let after = isLast ? record.position : records[place + 1].position
        let end = records[records.count - 1].position
        // The last of a path is what an interrupted lane goes on from.
        let score = isLast ? .greatestFiniteMagnitude : Double(after - before) / Double(end - before)
        if score < best?.score ?? .infinity { best = (score, record) }
      }
    }
    return best?.record
  }
}
