import Formats
import Foundation
import GRDB
import Replay
import Tensors

extension RunDatabase {
  /// The history of a run's tables, with one migration for each change. A released migration is never changed, since
  /// it defines how older runs are read.
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("runs and observations") { database in
      try database.create(table: "run") { table in
        table.primaryKey("id", .integer).check { $0 == 1 }
        table.column("configuration", .text).notNull()
        table.column("fingerprint", .text).notNull()
        table.column("status", .text).notNull()
        table.column("createdAt", .datetime).notNull()
        table.column("result", .text)
        table.column("seal", .text).notNull()
      }
      try database.create(table: "observation", options: .withoutRowID) { table in
        table.primaryKey {
          table.column("seed", .integer)
          table.column("series", .text)
          table.column("n", .integer)
        }
        table.column("testLoss", .double).notNull()
        table.column("testAccuracy", .double).notNull()
        table.column("digest", .text).notNull()
        table.column("seal", .text).notNull()
      }
    }
    migrator.registerMigration("checkpoints") { database in
      try database.create(table: "checkpoint", options: .withoutRowID) { table in
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
        table.column("seal", .text).notNull()
      }
    }
    migrator.registerMigration("seals of values") { database in
      try database.alter(table: "run") { $0.add(column: "identity", .text).notNull().defaults(to: "") }
      try JSONSeals.replace(in: database)
    }
    migrator.registerMigration("metrics by name") { database in
      try NamedMetrics.replaceObservations(in: database)
      try NamedMetrics.replaceDescription(in: database)
    }
    migrator.registerMigration("diverged iterates") { database in
      try database.create(table: "divergence", options: .withoutRowID) { table in
        table.primaryKey {
          table.column("seed", .integer)
          table.column("series", .text)
          table.column("n", .integer)
        }
        table.column("seal", .text).notNull()
      }
    }
    return migrator
  }

  /// Checks, before anything else reads the database, that its tables are those of a run as one of the migrations
  /// left them.
  /// - Throws: `StorageError.lost` if they are not, and `.failed` for a run of a newer version.
  /// - Returns: Whether they are the tables of the last migration.
  static func checkSchema(_ database: Database, path: String) throws -> Bool {
    let found = try Schema(database)
    if found.hasMigrations {
      let applied = try String.fetchSet(database, sql: "SELECT identifier FROM grdb_migrations LIMIT 1000")
      let known = Set(migrator.migrations)
      guard applied.isSubset(of: known) else {
        throw StorageError.failed(
          path: path,
          reason: "a newer version of Backtrail made it (\(applied.subtracting(known).sorted().joined(separator: ", "))): use that one")
      }
      guard let step = migrator.migrations.lastIndex(where: applied.contains), applied.count == step + 1,
        found == Schema.known[step]
      else { throw StorageError.lost(path: path, reason: "its tables are not those of a run") }
      return step == migrator.migrations.count - 1
    }
    throw StorageError.lost(path: path, reason: "it has no tables of a run")
  }
}

/// The objects that a database consists of.
private struct Schema: Equatable {
  /// The kind of each object by name (table, index, view or trigger), and the columns of tables.
  private let objects: [String: [String]]

  init(_ database: Database) throws {
    var objects: [String: [String]] = [:]
    // The schema table is SQLite's own, so reading it runs no view.
    let rows = try Row.fetchAll(
      database, sql: "SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' LIMIT 1000")
    for row in rows {
      guard let type = String.fromDatabaseValue(row["type"]), let name = String.fromDatabaseValue(row["name"]) else { continue }
      var description = [type]
      if type == "table" {
        let columns = try Row.fetchAll(
          database, sql: "SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?) LIMIT 1000", arguments: [name])
        description += columns.map { "\($0["name"] as DatabaseValue) \($0["type"] as DatabaseValue) \($0["notnull"] as DatabaseValue) \($0["pk"] as DatabaseValue)" }
      }
      objects[name] = description
    }
    self.objects = objects
  }

  var hasMigrations: Bool { objects["grdb_migrations"]?.first == "table" }

  /// The schema after each migration; computed once.
  static let known: [Schema] = {
    let migrator = RunDatabase.migrator
    return migrator.migrations.compactMap { step in
      guard let queue = try? DatabaseQueue() else { return nil }
      return try? migrator.migrate(queue, upTo: step) as Void? == nil ? nil : queue.read { try Schema($0) }
    }
  }()
}

/// The seals of the first format version, which were digests of rows as JSON with sorted keys. They are replaced row
/// by row by digests of the values; a seal that does not match its row keeps not matching.
private enum JSONSeals {
  private struct Run: Codable, FetchableRecord {
    var id: Int
    var configuration: String
    var fingerprint: String
    var status: String
    var createdAt: Date
    var result: String?
  }

  private struct Observation: Codable, FetchableRecord {
    var seed: Int
    var series: String
    var n: Int
    var testLoss: Double
    var testAccuracy: Double
    var digest: String
  }

  private struct Average: Codable {
    var file: String
    var digest: String
  }

  private struct Checkpoint: Codable, FetchableRecord {
    var seed: Int
    var series: String
    var n: Int
    var position: Int
    var file: String
    var averages: [Average]
    var parent: Int?
    var bytes: Int
    var digest: String
  }

  static func replace(in database: Database) throws {
    try replace(Run.self, table: "run", key: ["id"], in: database) { $0["identity"] = UUID().uuidString.databaseValue }
    try replace(Observation.self, table: "observation", key: ["seed", "series", "n"], in: database)
    try replace(Checkpoint.self, table: "checkpoint", key: ["seed", "series", "n", "position"], in: database)
  }

  private static func replace<Content: Codable & FetchableRecord>(
    _ type: Content.Type, table: String, key: [String], in database: Database,
    completing: (inout [String: DatabaseValue]) -> Void = { _ in }
  ) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    var place: [DatabaseValue] = []
    let keys = key.joined(separator: ", ")
    // Rows are read in pages in the order of their keys, since a run may have millions.
    while true {
      let after = place.isEmpty ? "" : "WHERE (\(keys)) > (\(key.map { _ in "?" }.joined(separator: ", ")))"
      let rows = try Row.fetchAll(
        database, sql: "SELECT * FROM \(table) \(after) ORDER BY \(keys) LIMIT 1000", arguments: StatementArguments(place))
      for row in rows {
        place = key.map { row[$0] as DatabaseValue }
        var values = row.valuesByName
        let seal = values.removeValue(forKey: "seal").flatMap { String.fromDatabaseValue($0) }
        guard let content = try? Content(row: row), let json = try? encoder.encode(content),
          Digest(of: Array(json).span.bytes).description == seal
        else { continue }
        completing(&values)
        var assigned = values.filter { !key.contains($0.key) }
        assigned["seal"] = RowSeal.digest(table: table, values).description.databaseValue
        let names = assigned.keys.sorted()
        try database.execute(
          sql: """
            UPDATE \(table) SET \(names.map { "\($0) = ?" }.joined(separator: ", ")) \
            WHERE \(key.map { "\($0) IS ?" }.joined(separator: " AND "))
            """,
          arguments: StatementArguments(names.map { assigned[$0] ?? .null } + place))
      }
      if rows.count < 1000 { return }
    }
  }
}
