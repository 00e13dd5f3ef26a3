import Foundation
import GRDB
import Tensors

/// What was seen of one iterate.
public struct Observation: Codable, Hashable, Sendable, FetchableRecord, PersistableRecord {
  public var seed: Int
  /// A composition order as the user writes it, or the name of a series computed along the way.
  public var series: String
  public var n: Int
  /// Mean cross-entropy over the evaluated test examples, in nats.
  public var testLoss: Double
  /// Fraction of the evaluated test examples.
  public var testAccuracy: Double
  /// Of the training state and its update count.
  public var digest: Digest

  public init(seed: Int, series: String, n: Int, testLoss: Double, testAccuracy: Double, digest: Digest) {
    self.seed = seed
    self.series = series
    self.n = n
    self.testLoss = testLoss
    self.testAccuracy = testAccuracy
    self.digest = digest
  }

  public static let databaseTableName = "observation"

  /// An iterate that is observed again has the same bits.
  public static let persistenceConflictPolicy = PersistenceConflictPolicy(insert: .ignore)
}

/// A run's one row about itself.
public struct RunRecord: Codable, Sendable, FetchableRecord, PersistableRecord {
  public enum Status: String, Codable, Sendable {
    /// Begun, and not known to have ended.
    case unfinished
    case finished
    /// Stopped by a signal; it can be resumed.
    case interrupted
    /// Stopped by an error; what was observed before is there.
    case failed
  }

  var id = 1
  /// JSON.
  public var configuration: String
  /// What decides bits besides the configuration.
  public var fingerprint: String
  public var status: Status
  public var createdAt: Date
  /// JSON; nil until the run has finished.
  public var result: String?

  public init(configuration: String, fingerprint: String, createdAt: Date) {
    self.configuration = configuration
    self.fingerprint = fingerprint
    // Whole seconds: what SQLite gives back is then what it was given, to the bit.
    self.createdAt = Date(timeIntervalSince1970: createdAt.timeIntervalSince1970.rounded())
    status = .unfinished
  }

  public static let databaseTableName = "run"
}

/// `run.sqlite`: SQLite in WAL mode, synced at every commit, so that what a commit returned from survives a power cut.
public final class RunDatabase: Sendable {
  let path: String
  let queue: DatabaseQueue

  /// Makes the database of a new run. It appears under its name when all of it is on disk: a run killed before was
  /// never made.
  public static func create(in folder: RunFolder, record: RunRecord) throws(StorageError) -> RunDatabase {
    let partial = folder.databasePath + ".partial"
    do {
      var configuration = Configuration()
      configuration.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = FULL") }
      let queue = try DatabaseQueue(path: partial, configuration: configuration)
      try migrator.migrate(queue)
      try queue.write { try Sealed(record).insert($0) }
      try queue.close()
    } catch {
      throw storageError(error, path: partial)
    }
    try PositionedFile.rename(partial, to: folder.databasePath)
    return try RunDatabase(folder)
  }

  /// Opens the database of an existing run.
  public static func open(_ folder: RunFolder) throws(StorageError) -> RunDatabase {
    let database = try RunDatabase(folder)
    try database.attempt { try migrator.migrate(database.queue) }
    return database
  }

  private init(_ folder: RunFolder) throws(StorageError) {
    path = folder.databasePath
    var configuration = Configuration()
    configuration.journalMode = .wal
    configuration.busyMode = .timeout(10)
    configuration.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = FULL") }
    do {
      queue = try DatabaseQueue(path: path, configuration: configuration)
    } catch {
      throw Self.storageError(error, path: path)
    }
  }

  private static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("runs and observations") { database in
      try database.create(table: RunRecord.databaseTableName) { table in
        table.primaryKey("id", .integer).check { $0 == 1 }
        table.column("configuration", .text).notNull()
        table.column("fingerprint", .text).notNull()
        table.column("status", .text).notNull()
        table.column("createdAt", .datetime).notNull()
        table.column("result", .text)
        table.column(Sealed<RunRecord>.seal, .text).notNull()
      }
      try database.create(table: Observation.databaseTableName, options: .withoutRowID) { table in
        table.primaryKey {
          table.column("seed", .integer)
          table.column("series", .text)
          table.column("n", .integer)
        }
        table.column("testLoss", .double).notNull()
        table.column("testAccuracy", .double).notNull()
        table.column("digest", .text).notNull()
        table.column(Sealed<Observation>.seal, .text).notNull()
      }
    }
    migrator.registerMigration("checkpoints") { database in
      try database.create(table: CheckpointRecord.databaseTableName, options: .withoutRowID) { table in
        table.primaryKey {
          table.column("seed", .integer)
          table.column("series", .text)
          table.column("n", .integer)
          table.column("position", .integer)
        }
        table.column("file", .text).notNull().unique()
        table.column("averages", .text).notNull()
        table.column("parent", .integer)
        table.column("bytes", .integer).notNull()
        table.column("digest", .text).notNull()
        table.column(Sealed<CheckpointRecord>.seal, .text).notNull()
      }
    }
    return migrator
  }

  /// The run's row about itself.
  public func record() throws(StorageError) -> RunRecord {
    let record = try attempt { try queue.read { try Sealed<RunRecord>.fetchOne($0) } }
    guard let record = record?.content else { throw .damaged(path: path, reason: "it has no row about the run itself") }
    return record
  }

  /// Changes the run's row about itself.
  public func update(_ change: (inout RunRecord) -> Void) throws(StorageError) {
    var record = try record()
    change(&record)
    try attempt { try queue.write { [record] in try Sealed(record).update($0) } }
  }

  /// All observations, by seed, series and n.
  public func observations() throws(StorageError) -> [Observation] {
    try attempt {
      try queue.read {
        try Sealed<Observation>.order(Column("seed"), Column("series"), Column("n")).fetchAll($0).map(\.content)
      }
    }
  }

  public func observation(seed: Int, series: String, n: Int) throws(StorageError) -> Observation? {
    try attempt {
      try queue.read { try Sealed<Observation>.fetchOne($0, key: ["seed": seed, "series": series, "n": n])?.content }
    }
  }

  /// All checkpoints, by seed, series, n and position.
  public func checkpoints() throws(StorageError) -> [CheckpointRecord] {
    try attempt {
      try queue.read {
        try Sealed<CheckpointRecord>.order(Column("seed"), Column("series"), Column("n"), Column("position"))
          .fetchAll($0).map(\.content)
      }
    }
  }

  func insert(_ checkpoint: CheckpointRecord) throws(StorageError) {
    try attempt { try queue.write { try Sealed(checkpoint).insert($0) } }
  }

  public func delete(_ checkpoint: CheckpointRecord) throws(StorageError) {
    _ = try attempt { try queue.write { try Sealed(checkpoint).delete($0) } }
  }

  /// Overwrites an observation.
  public func replace(_ observation: Observation) throws(StorageError) {
    try attempt { try queue.write { try Sealed(observation).update($0) } }
  }

  /// Rows of observations and checkpoints whose values do not fit their seals: what is wrong with each.
  /// - Parameter removes: whether they are deleted, so that a resumed run makes them anew.
  public func brokenRows(removes: Bool) throws(StorageError) -> [String] {
    try attempt {
      try queue.write { database in
        try Self.brokenRows(of: Observation.self, key: ["seed", "series", "n"], removes: removes, database)
          + Self.brokenRows(
            of: CheckpointRecord.self, key: ["seed", "series", "n", "position"], removes: removes, database)
      }
    }
  }

  private static func brokenRows<Content: Codable & FetchableRecord & PersistableRecord>(
    of type: Content.Type, key: [String], removes: Bool, _ database: Database
  ) throws -> [String] {
    var broken: [String] = []
    for row in try Row.fetchAll(database, sql: "SELECT * FROM \(type.databaseTableName)") {
      do {
        _ = try Sealed<Content>(row: row)
      } catch let error as BrokenSeal {
        broken.append(error.description)
        guard removes else { continue }
        let condition = key.map { "\($0) IS ?" }.joined(separator: " AND ")
        try database.execute(
          sql: "DELETE FROM \(type.databaseTableName) WHERE \(condition)",
          arguments: StatementArguments(key.map { row[$0] as DatabaseValue }))
      }
    }
    return broken
  }

  /// - Throws: `StorageError.damaged` with the first thing SQLite's own check finds.
  public func checkIntegrity() throws(StorageError) {
    let findings = try attempt { try queue.read { try String.fetchAll($0, sql: "PRAGMA integrity_check") } }
    if let finding = findings.first, finding != "ok" { throw .damaged(path: path, reason: finding) }
  }

  private func attempt<Value>(_ body: () throws -> Value) throws(StorageError) -> Value {
    do {
      return try body()
    } catch {
      throw Self.storageError(error, path: path)
    }
  }

  static func storageError(_ error: any Error, path: String) -> StorageError {
    if let error = error as? StorageError { return error }
    if error is BrokenSeal { return .damaged(path: path, reason: "\(error)") }
    guard let error = error as? DatabaseError else { return .damaged(path: path, reason: reason(error)) }
    let text = error.message ?? error.resultCode.description
    return switch error.resultCode {
    case .SQLITE_NOTADB, .SQLITE_CORRUPT, .SQLITE_ERROR, .SQLITE_SCHEMA: .lost(path: path, reason: text)
    case .SQLITE_FULL: .failed(path: path, reason: "\(text): make room on the disk")
    default: .failed(path: path, reason: text)
    }
  }
}
