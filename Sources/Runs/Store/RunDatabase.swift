import Formats
import Foundation
import GRDB
import Replay
import Tensors

/// The database `run.sqlite`: SQLite in WAL mode, synced at every commit, so that a commit survives a power cut once
/// it has returned.
public final class RunDatabase: Sendable {
  /// The purpose a run's database is opened for.
  public enum Access: Sendable {
    /// Changes nothing of the run, whose folder may be read-only and of an older version. SQLite may leave an empty
    /// log beside the database if the folder is writable.
    case reading
    /// First migrates the tables to this version.
    case writing
  }

  private struct Connection {
    var queue: DatabaseQueue
    var access: Access
    /// The inode number of the file that was opened.
    var fileNumber: UInt64?
  }

  let path: String
  private let connection: Lock<Connection>
  /// The values that rows can have; nil until the run's configuration has been read.
  private let bounds = Lock<RowBounds?>(nil)

  /// Makes the database of a new run. It gets its name only when it is completely on disk: a run whose creation is
  /// interrupted before that does not exist.
  public static func create(in folder: RunFolder, record: RunRecord) throws(StorageError) -> RunDatabase {
    let partial = folder.databasePath + ".partial"
    do {
      let queue = try DatabaseQueue(path: partial)
      try synchronize(queue)
      try migrator.migrate(queue)
      try queue.write { try Sealed(record).insert($0) }
      try queue.close()
    } catch {
      throw storageError(error, path: partial)
    }
    try PositionedFile.rename(partial, to: folder.databasePath)
    return try open(folder, for: .writing)
  }

  /// Opens the database of an existing run after checking its tables.
  public static func open(_ folder: RunFolder, for access: Access = .reading) throws(StorageError) -> RunDatabase {
    let path = folder.databasePath
    // SQLite would wait forever for the other end of a pipe.
    for file in ["", "-wal", "-shm", "-journal"].map({ path + $0 }) { try PositionedFile.checkIsRegular(file) }
    do {
      return RunDatabase(path, try access == .writing ? queueForWriting(path) : queueForReading(path), access)
    } catch {
      throw storageError(error, path: path)
    }
  }

  private init(_ path: String, _ queue: DatabaseQueue, _ access: Access) {
    self.path = path
    connection = Lock(Connection(queue: queue, access: access, fileNumber: Self.fileNumber(path)))
  }

  var queue: DatabaseQueue { connection.withLock { $0.queue } }

  /// Opens a database that was opened for reading for writing too. From then on the file is read, even if a copy was
  /// read before.
  public func beginWriting() throws(StorageError) {
    try attempt {
      try connection.withLock { connection in
        guard connection.access == .reading else { return }
        connection = Connection(
          queue: try Self.queueForWriting(path), access: .writing, fileNumber: Self.fileNumber(path))
      }
    }
  }

  private static func queueForWriting(_ path: String) throws -> DatabaseQueue {
    var configuration = hardened
    configuration.journalMode = .wal
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    try synchronize(queue)
    if try !queue.read({ try checkSchema($0, path: path) }) { try migrator.migrate(queue) }
    return queue
  }

  /// Makes every commit wait for the disk. GRDB sets another mode when it turns on WAL, so this must come after that.
  private static func synchronize(_ queue: DatabaseQueue) throws {
    try queue.inDatabase { database in
      try database.execute(sql: "PRAGMA synchronous = FULL")
      guard try Int.fetchOne(database, sql: "PRAGMA synchronous") == 2 else {
        throw DatabaseError(message: "SQLite does not sync its commits")
      }
    }
  }

  /// A configuration in which a database from a stranger can run no code.
  private static var hardened: Configuration {
    var configuration = Configuration()
    configuration.busyMode = .timeout(10)
    configuration.prepareDatabase { try $0.execute(sql: "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON") }
    return configuration
  }

  private static func queueForReading(_ path: String) throws -> DatabaseQueue {
    var configuration = hardened
    configuration.readonly = true
    do {
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      if try queue.read({ try checkSchema($0, path: path) }) { return queue }
      return try migratedCopy(of: queue)
    } catch let error as DatabaseError where [.SQLITE_CANTOPEN, .SQLITE_READONLY].contains(error.resultCode) {
      // In a folder that is not writable, SQLite has no place for the shared memory of a log's readers, so it reads a
      // copy.
      let folder = FileManager.default.temporaryDirectory.appendingPathComponent("backtrail-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: folder) }
      let copy = folder.appendingPathComponent("run.sqlite").path
      for suffix in ["", "-wal"] where FileManager.default.fileExists(atPath: path + suffix) {
        try FileManager.default.copyItem(atPath: path + suffix, toPath: copy + suffix)
      }
      let queue = try DatabaseQueue(path: copy, configuration: hardened)
      _ = try queue.read { try checkSchema($0, path: path) }
      return try migratedCopy(of: queue)
    }
  }

  /// A copy in memory, migrated to the tables of this version.
  private static func migratedCopy(of queue: DatabaseQueue) throws -> DatabaseQueue {
    let copy = try DatabaseQueue()
    try queue.backup(to: copy)
    try queue.close()
    try migrator.migrate(copy)
    return copy
  }

  /// Sets the seeds, iterates and metrics that the run has. From then on rows of others count as damage.
  func expect(_ bounds: RowBounds) {
    self.bounds.withLock { $0 = bounds }
  }

  /// The metrics of the run; empty while they are not known.
  var metrics: [Metric] { bounds.withLock { $0?.metrics ?? [] } }

  // MARK: Reading

  /// The checked content of a row.
  func content<Content: StoredRow>(_ row: Row, of type: Content.Type = Content.self) throws -> Content {
    let content = try Sealed<Content>(row: row, metrics: bounds.withLock { $0?.metrics }).content
    guard let place = content as? any PlacedRow else { return content }
    guard hasIterate(place.n, seed: place.seed) else {
      throw BrokenRow("the \(Content.table) row of seed \(place.seed) and n \(place.n) belongs to no iterate of the run")
    }
    return content
  }

  /// - Parameter leavesOutBroken: Whether to skip rows that the run can't have written.
  func contents<Content: StoredRow>(
    _ request: SQLRequest<Row>, leavesOutBroken: Bool = false
  ) throws(StorageError) -> [Content] {
    try attempt {
      try queue.read { database in
        var contents: [Content] = []
        let rows = try request.fetchCursor(database)
        while let row = try rows.next() {
          do {
            contents.append(try content(row))
          } catch is BrokenRow where leavesOutBroken {
            continue
          }
        }
        return contents
      }
    }
  }

  /// The run's row about itself.
  public func record() throws(StorageError) -> RunRecord {
    let records: [RunRecord] = try contents("SELECT * FROM run")
    guard let record = records.first else { throw .damaged(path: path, reason: "it has no row about the run itself") }
    return record
  }

  /// All observations, ordered by seed, series and n.
  /// - Parameter leavesOutBroken: Whether to skip rows that the run can't have written.
  public func observations(leavesOutBroken: Bool = false) throws(StorageError) -> [Observation] {
    try contents("SELECT * FROM observation ORDER BY seed, series, n", leavesOutBroken: leavesOutBroken)
  }

  public func observation(seed: Int, series: Series, n: Int) throws(StorageError) -> Observation? {
    try attempt { try queue.read { try observation(seed: seed, series: series, n: n, $0) } }
  }

  private func observation(seed: Int, series: Series, n: Int, _ database: Database) throws -> Observation? {
    try SQLRequest<Row>("SELECT * FROM observation WHERE seed = \(seed) AND series = \(series.description) AND n = \(n)")
      .fetchOne(database).map { try content($0) }
  }

  /// All checkpoints, ordered by seed, series, n and position.
  /// - Parameter leavesOutBroken: Whether to skip rows that the run can't have written.
  public func checkpoints(leavesOutBroken: Bool = false) throws(StorageError) -> [CheckpointRecord] {
    try contents("SELECT * FROM checkpoint ORDER BY seed, series, n, position", leavesOutBroken: leavesOutBroken)
  }

  // MARK: Writing

  /// Changes the run's row about itself.
  public func update(_ change: (inout RunRecord) -> Void) throws(StorageError) {
    var record = try record()
    change(&record)
    try attempt { try queue.write { [record] in try Sealed(record).update($0) } }
  }

  func insert(_ checkpoint: CheckpointRecord) throws(StorageError) {
    try attempt { try queue.write { try Sealed(checkpoint).insert($0) } }
  }

  public func delete(_ checkpoint: CheckpointRecord) throws(StorageError) {
    _ = try attempt { try queue.write { try Sealed(checkpoint).delete($0) } }
  }

  /// Overwrites a checkpoint's row.
  func replace(_ checkpoint: CheckpointRecord) throws(StorageError) {
    try attempt { try queue.write { try Sealed(checkpoint).update($0) } }
  }

  public func delete(_ observation: Observation) throws(StorageError) {
    _ = try attempt { try queue.write { try Sealed(observation).delete($0) } }
  }

  /// Overwrites an observation.
  public func replace(_ observation: Observation) throws(StorageError) {
    try attempt { try queue.write { try Sealed(observation).update($0) } }
  }

  /// Inserts an observation. One that exists already must be equal, since the same iterate has the same bits.
  /// - Throws: `StorageError.damaged`, naming both observations, if they differ.
  func insert(_ observation: Observation, _ connection: Database) throws {
    try Sealed(observation).insert(connection, onConflict: .ignore)
    guard connection.changesCount == 0 else { return }
    guard let there = try self.observation(seed: observation.seed, series: observation.series, n: observation.n, connection) else {
      throw BrokenRow("the observation of iterate \(observation.n) of \(observation.series) is no row")
    }
    guard there.agrees(with: observation) else {
      throw StorageError.damaged(
        path: path,
        reason: """
          iterate \(observation.n) of \(observation.series) (seed \(observation.seed)) was observed with \
          \(there.measurements) and the digest \(there.digest), and computed again has \(observation.measurements) and \
          \(observation.digest)
          """)
    }
  }

  /// Checks that the run's folder is still in its place. If it was removed or another run took its place, SQLite
  /// would go on writing to files that no longer have a name.
  /// - Throws: `StorageError.failed` if it is not.
  func checkIsThere() throws(StorageError) {
    guard let number = connection.withLock({ $0.fileNumber }), number == Self.fileNumber(path) else {
      throw .failed(path: path, reason: "the run's folder was removed or renamed while it was trained")
    }
  }

  /// The inode number of a file; nil if there is no file.
  private static func fileNumber(_ path: String) -> UInt64? {
    var status = stat()
    return stat(path, &status) == 0 ? UInt64(status.st_ino) : nil
  }

  /// Whether the run has an iterate of a seed. Every iterate counts while the bounds are not known.
  func hasIterate(_ n: Int, seed: Int) -> Bool {
    bounds.withLock { $0?.contains(seed: seed, n: n) ?? true }
  }

  // MARK: Damage

  /// Describes the rows of observations, diverged iterates and checkpoints whose values do not match their seals or can't belong to a
  /// run.
  /// - Parameter removes: Whether these rows are deleted, so that a resumed run makes them anew.
  public func brokenRows(removes: Bool) throws(StorageError) -> [String] {
    try attempt {
      func broken(_ database: Database) throws -> [String] {
        try brokenRows(of: Observation.self, removes: removes, database)
          + brokenRows(of: DivergedIterate.self, removes: removes, database)
          + brokenRows(of: CheckpointRecord.self, removes: removes, database)
      }
      return removes ? try queue.write(broken) : try queue.read(broken)
    }
  }

  private func brokenRows<Content: StoredRow>(
    of type: Content.Type, removes: Bool, _ database: Database
  ) throws -> [String] {
    var broken: [(reason: String, key: [DatabaseValue])] = []
    let rows = try Row.fetchCursor(database, sql: "SELECT * FROM \(Content.table)")
    while let row = try rows.next() {
      do {
        _ = try content(row, of: type)
      } catch let error as BrokenRow {
        broken.append((error.description, Content.key.map { row[$0] }))
      }
    }
    if removes {
      let condition = Content.key.map { "\($0) IS ?" }.joined(separator: " AND ")
      for row in broken {
        try database.execute(
          sql: "DELETE FROM \(Content.table) WHERE \(condition)", arguments: StatementArguments(row.key))
      }
    }
    return broken.map(\.reason)
  }

  /// - Throws: `StorageError.damaged` with the first problem that SQLite's own check finds.
  public func checkIntegrity() throws(StorageError) {
    let findings = try attempt { try queue.read { try String.fetchAll($0, sql: "PRAGMA integrity_check") } }
    if let finding = findings.first, finding != "ok" { throw .damaged(path: path, reason: finding) }
  }

  public func makeIndicesAnew() throws(StorageError) {
    try attempt { try queue.write { try $0.execute(sql: "REINDEX") } }
  }

  func attempt<Value>(_ body: () throws -> Value) throws(StorageError) -> Value {
    do {
      return try body()
    } catch {
      throw Self.storageError(error, path: path)
    }
  }

  static func storageError(_ error: any Error, path: String) -> StorageError {
    if let error = error as? StorageError { return error }
    if error is BrokenRow { return .damaged(path: path, reason: "\(error)") }
    if error is RowDecodingError { return .damaged(path: path, reason: "a row holds what no run writes there") }
    guard let error = error as? DatabaseError else { return .failed(path: path, reason: reason(error)) }
    let text = error.message ?? error.resultCode.description
    return switch error.resultCode {
    case .SQLITE_NOTADB, .SQLITE_CORRUPT, .SQLITE_ERROR, .SQLITE_SCHEMA: .lost(path: path, reason: text)
    case .SQLITE_FULL: .failed(path: path, reason: "\(text): make room on the disk")
    default: .failed(path: path, reason: text)
    }
  }
}

/// A row about a state on one iterate's path.
private protocol PlacedRow {
  var seed: Int { get }
  var n: Int { get }
}

extension Observation: PlacedRow {}
extension DivergedIterate: PlacedRow {}
extension CheckpointRecord: PlacedRow {}
