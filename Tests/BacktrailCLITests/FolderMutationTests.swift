import Foundation
import GRDB
import Runs
import Tensors
import TestSupport
import Testing

/// Promise "nothing unverified is used", even against those who know the format: rows with any values and
/// valid seals, tables of contents with any numbers and valid checksums. Every command must end by itself with an
/// exit code of its own.
@Suite struct FolderMutationTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let commands = [
    "runs show run", "runs show run --json", "verify run", "verify run --repair --replays 3", "resume run --json", "resume run --steps 30",
    "average run --exact", "average run --average uniform:5", "rewind run --order backward --from 10 --slots 2", "batches run",
    "report run --to page.html", "frontier --run run", "export run --order forward --iterate 13 --to file.safetensors",
    "runs show run --order tail:3 --iterate 17", "runs list .", "plan --initial run:forward:5 --steps 10",
  ]

  /// Commands that compute little, whatever the settings of the run.
  private static let readers = [
    "runs show run", "runs show run --json", "runs list .", "report run --to page.html", "verify run",
    "export run --order forward --iterate 13 --to file.safetensors",
  ]

  private func makeRun() throws {
    let options = """
      train --model linear --steps 20 --evaluate every:5 --evaluation-examples 20 --order forward --order backward --order tail:auto \
      --tolerance 0.5 --checkpoint-every 5 --checkpoint-chain 1 --out run --json
      """
    let made = try Command(options.split(separator: " ").map(String.init), in: folder.path)
    #expect(made.status == 0, "\(made.errors)")
  }

  /// - Returns: How the command ended within its limits of time and memory.
  private func run(_ line: String) throws -> Command {
    try Command(
      program: "/bin/bash",
      ["-c", "ulimit -v 8000000; exec timeout -s KILL 30 '\(Command.executable.path)' \(line)"], in: folder("copy"))
  }

  private func hostileValue(_ random: inout SplitMix) -> DatabaseValue {
    let integers = [0, -1, 1, 2, Int.min, Int.max, 1 << 31, 1 << 32, 1 << 53, 1_000_000_000, 1_000_000_001, -1_000_000_000]
    let texts = [
      "", "../../victim.ckpt", "0-x-1-1.ckpt/../../victim", String(repeating: "x", count: 70_000), "tail:9223372036854775807",
      "sliding:1000000000", "file:/dev/zero", "forward", "finished", "0-forward-20-20.ckpt", "[]", "{}", "ffffffffffffffffffffffffffffffff", "\u{0}",
    ]
    switch Int.random(in: 0..<6, using: &random) {
    case 0: return .null
    case 1, 2: return (integers.randomElement(using: &random) ?? 0).databaseValue
    case 3: return ([0, -1, 0.5, 1e300, -1e300, .leastNonzeroMagnitude].randomElement(using: &random) ?? 0).databaseValue
    case 4: return Data([1, 2, 3]).databaseValue
    default: return (texts.randomElement(using: &random) ?? "").databaseValue
    }
  }

  /// A document with one value, anywhere in it, replaced.
  private func mutated(_ json: Any, _ random: inout SplitMix) -> Any {
    if var object = json as? [String: Any], let key = object.keys.sorted().randomElement(using: &random), Bool.random(using: &random) || object.count > 3 {
      object[key] = object[key].map { mutated($0, &random) }
      return object
    }
    if var array = json as? [Any], let index = array.indices.randomElement(using: &random) {
      array[index] = mutated(array[index], &random)
      return array
    }
    let values: [Any] = [
      0, -1, Int.max, Int.min, 1 << 40, 1e300, -1e300, 0.5, "", "x", "file:/dev/zero", "every:1", "tail:1000000000", [Any](), [String: Any](), NSNull(), true,
      "gpt:layers=1000,heads=1,width=4096,context=64", "at:1", "1GiB",
    ]
    return values.randomElement(using: &random) ?? 0
  }

  /// Changes a value of one row, and seals the row again.
  private func mutateRow(_ random: inout SplitMix) throws -> String {
    let queue = try DatabaseQueue(path: folder("copy/run/run.sqlite"))
    let table = ["run", "run", "observation", "checkpoint"].randomElement(using: &random) ?? "run"
    return try queue.write { database in
      let rows = try Row.fetchAll(database, sql: "SELECT * FROM \(table)")
      guard let row = rows.randomElement(using: &random) else { return "nothing" }
      let before = Dictionary(row.map { ($0.0, $0.1) }) { first, _ in first }
      var values = before
      values["seal"] = nil
      let column = values.keys.sorted().randomElement(using: &random) ?? "n"
      var value = hostileValue(&random)
      if ["configuration", "result", "averages"].contains(column), Int.random(in: 0..<5, using: &random) > 0,
        let text = String.fromDatabaseValue(values[column] ?? .null),
        let json = try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed),
        let data = try? JSONSerialization.data(withJSONObject: mutated(json, &random), options: [.fragmentsAllowed, .sortedKeys])
      {
        value = String(decoding: data, as: UTF8.self).databaseValue
      }
      values[column] = value
      // What SQLite stores may be of another kind than it was given.
      let names = values.keys.sorted()
      let key = before.filter { ["id", "seed", "series", "n", "position"].contains($0.key) }
      let keys = key.keys.sorted()
      do {
        try database.execute(
          sql: "UPDATE \(table) SET \(column) = ? WHERE \(keys.map { "\($0) IS ?" }.joined(separator: " AND "))",
          arguments: StatementArguments([value] + keys.map { key[$0] ?? .null }))
      } catch {
        return "a value that SQLite refuses"
      }
      var found = key
      if found[column] != nil { found[column] = value }
      let stored = try Row.fetchOne(
        database, sql: "SELECT * FROM \(table) WHERE \(keys.map { "\($0) IS ?" }.joined(separator: " AND "))",
        arguments: StatementArguments(keys.map { found[$0] ?? .null }))
      if let stored {
        let current = Dictionary(stored.map { ($0.0, $0.1) }) { first, _ in first }.filter { $0.key != "seal" }
        try database.execute(
          sql: "UPDATE \(table) SET seal = ? WHERE \(keys.map { "\($0) IS ?" }.joined(separator: " AND "))",
          arguments: StatementArguments([RowSeal.digest(table: table, current).description.databaseValue] + keys.map { found[$0] ?? .null }))
      }
      _ = names
      return "\(table).\(column) = \(String(describing: value).prefix(200))"
    }
  }

  /// Settings that a run could have, but not this one, nor any on this machine.
  private static let monsters: [String: [any Sendable]] = [
    "steps": [1_000_000_000, 2_000_000], "evaluate": ["every:500", "every:1", "log:100000", "at:1000000000"], "seedCount": [10_000],
    "model": ["gpt:layers=1000,heads=1,width=4096,context=64", "mlp:1000000,1000000"], "batchSize": [1_000_000], "lanes": [1024],
    "orders": [["file:/dev/zero"], ["sliding:1000000000"], ["tail:auto", "splice:auto@auto:0"]], "evaluationBatchSize": [65_536],
    "data": ["csv:/dev/zero", "synthetic:examples=100000000"], "sampler": ["file:/dev/zero"], "recalibrate": [1_000_000],
  ]

  /// Changes one or two settings of the run to monstrous ones.
  private func mutateConfiguration(_ random: inout SplitMix) throws -> String {
    let queue = try DatabaseQueue(path: folder("copy/run/run.sqlite"))
    return try queue.write { database in
      guard let row = try Row.fetchOne(database, sql: "SELECT * FROM run"),
        let json = String.fromDatabaseValue(row["configuration"]),
        var stored = (try? JSONSerialization.jsonObject(with: Data(json.utf8))) as? [String: Any],
        var problem = stored["problem"] as? [String: Any], var settings = problem["settings"] as? [String: Any],
        var workload = stored["workload"] as? [String: Any], var budgets = stored["budgets"] as? [String: Any]
      else { return "nothing" }
      for key in Self.monsters.keys.sorted().shuffled(using: &random).prefix(2) {
        let value = Self.monsters[key]?.randomElement(using: &random)
        // Each where runs keep it.
        if workload[key] != nil {
          workload[key] = value
        } else if budgets[key] != nil {
          budgets[key] = value
        } else {
          settings[key] = value
        }
      }
      problem["settings"] = settings
      (stored["problem"], stored["workload"], stored["budgets"]) = (problem, workload, budgets)
      let text = String(decoding: try JSONSerialization.data(withJSONObject: stored, options: .sortedKeys), as: UTF8.self)
      var values = Dictionary(row.map { ($0.0, $0.1) }) { first, _ in first }
      values["seal"] = nil
      values["configuration"] = text.databaseValue
      try database.execute(
        sql: "UPDATE run SET configuration = ?, seal = ?", arguments: [text, RowSeal.digest(table: "run", values).description])
      return "settings \(settings), workload \(workload), budgets \(budgets)"
    }
  }

  /// Changes bytes of a log that has not been merged into the database yet.
  private func mutateLog(_ random: inout SplitMix) throws -> String {
    let path = folder("copy/run/run.sqlite")
    var configuration = Configuration()
    configuration.journalMode = .wal
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    try queue.inDatabase { try $0.execute(sql: "PRAGMA wal_autocheckpoint = 0; UPDATE observation SET n = n") }
    var log = try folder.read("copy/run/run.sqlite-wal")
    try queue.close()
    for _ in 0..<Int.random(in: 0...3, using: &random) {
      guard let place = log.indices.randomElement(using: &random) else { break }
      log[place] = UInt8.random(in: 0...255, using: &random)
    }
    if Bool.random(using: &random) { log = Array(log.prefix(Int.random(in: 0...log.count, using: &random))) }
    try folder.write(log, to: "copy/run/run.sqlite-wal")
    return "the log"
  }

  /// Changes a checkpoint's table of contents, and its checksum with it.
  private func mutateCheckpoint(_ random: inout SplitMix) throws -> String {
    let files = try FileManager.default.contentsOfDirectory(atPath: folder("copy/run/checkpoints")).sorted()
    let file = try #require(files.randomElement(using: &random))
    var bytes = try folder.read("copy/run/checkpoints/\(file)")
    let size = bytes[12..<16].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard (100...bytes.count).contains(size) else { return "nothing" }
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      let place = Int.random(in: 8..<size - 16, using: &random)
      let width = [1, 4, 8].randomElement(using: &random) ?? 1
      let value: UInt8 = ([0, 0xFF, 0x7F, 1, 0x80] as [UInt8]).randomElement(using: &random) ?? 0
      for index in place..<min(place + width, size - 16) { bytes[index] = value }
    }
    let digest = Digest(of: bytes.span.extracting(..<(size - 16)).bytes)
    for (index, word) in [digest.low, digest.high].enumerated() {
      for byte in 0..<8 { bytes[size - 16 + 8 * index + byte] = UInt8(truncatingIfNeeded: word >> UInt64(8 * byte)) }
    }
    try folder.write(bytes, to: "copy/run/checkpoints/\(file)")
    return file
  }

  @Test func rowsAndTablesWithAnyValues() throws {
    try makeRun()
    let seed = UInt64(ProcessInfo.processInfo.environment["BACKTRAIL_MUTATION_SEED"] ?? "") ?? 1
    let count = Int(ProcessInfo.processInfo.environment["BACKTRAIL_MUTATIONS"] ?? "") ?? cases(14, long: 1500)
    for mutation in 0..<count {
      var random = SplitMix(state: seed &* 1_000_003 &+ UInt64(mutation))
      try? FileManager.default.removeItem(atPath: folder("copy"))
      try FileManager.default.createDirectory(atPath: folder("copy"), withIntermediateDirectories: true)
      try FileManager.default.copyItem(atPath: folder("run"), toPath: folder("copy/run"))
      try folder.write("untouched", to: "copy/victim.ckpt")
      var changes: [String] = []
      for _ in 0..<(Int.random(in: 0..<4, using: &random) == 0 ? 2 : 1) {
        switch Int.random(in: 0..<12, using: &random) {
        case 0, 1: changes.append(try mutateCheckpoint(&random))
        case 2, 3: changes.append(try mutateConfiguration(&random))
        case 4: changes.append(try mutateLog(&random))
        default: changes.append(try mutateRow(&random))
        }
      }
      let what = changes.joined(separator: " and ")
      // Continuing a run of 10⁹ steps may take as long as it needs.
      let lines = what.contains("configuration [") ? Self.readers : Self.commands
      for line in lines.shuffled(using: &random).prefix(cases(3, long: 5)) {
        let command = try run(line)
        #expect([0, 64, 65, 66, 73, 74, 75, 78].contains(command.status), "mutation \(mutation), \(what): '\(line)' ended with \(command.status): \(command.errors.prefix(300))")
      }
      #expect(try folder.read("copy/victim.ckpt") == Array("untouched".utf8))
    }
  }

  /// Databases whose tables are not tables.
  @Test func tablesThatAreNone() throws {
    try makeRun()
    let changes = [
      "DROP TABLE observation", "DROP TABLE run", "DELETE FROM run", "DROP TABLE grdb_migrations",
      "ALTER TABLE observation RENAME TO other; CREATE VIEW observation AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS seed, 'forward' AS series, x AS n, 0.1 AS testLoss, 0.1 AS testAccuracy, '' AS digest, '' AS seal FROM c",
      "ALTER TABLE run RENAME TO other; CREATE VIEW run AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS id FROM c",
      "CREATE TRIGGER t AFTER UPDATE ON run BEGIN DELETE FROM observation; END",
      "ALTER TABLE grdb_migrations RENAME TO g; CREATE VIEW grdb_migrations AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT 'x' || x AS identifier FROM c",
      "INSERT INTO grdb_migrations VALUES ('of a later version')",
    ]
    for change in changes {
      try? FileManager.default.removeItem(atPath: folder("copy"))
      try FileManager.default.createDirectory(atPath: folder("copy"), withIntermediateDirectories: true)
      try FileManager.default.copyItem(atPath: folder("run"), toPath: folder("copy/run"))
      let queue = try DatabaseQueue(path: folder("copy/run/run.sqlite"))
      try queue.inDatabase { try $0.execute(sql: change) }
      try queue.close()
      for line in ["runs show run", "verify run", "resume run", "runs list ."] {
        let command = try run(line)
        #expect(command.errors.contains("run.sqlite"), "\(change): \(line): \(command.errors)")
        #expect(line.hasPrefix("runs list") || [65, 74].contains(command.status), "\(change): \(line): \(command.status) \(command.errors)")
      }
    }
  }

  /// Things in the place of files that are not regular files.
  @Test func pipesAndLinks() throws {
    try makeRun()
    for file in ["run.sqlite", "run.sqlite-journal", "batches.zst", "lock", "checkpoints/0-forward-20-20.ckpt", "checkpoints"] {
      for isPipe in [true, false] {
        try? FileManager.default.removeItem(atPath: folder("copy"))
        try FileManager.default.createDirectory(atPath: folder("copy"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: folder("run"), toPath: folder("copy/run"))
        try? FileManager.default.moveItem(atPath: folder("copy/run/\(file)"), toPath: folder("copy/elsewhere"))
        let before = FileManager.default.subpaths(atPath: folder("copy/elsewhere"))
        if isPipe {
          #expect(mkfifo(folder("copy/run/\(file)"), 0o666) == 0)
        } else {
          try FileManager.default.createSymbolicLink(atPath: folder("copy/run/\(file)"), withDestinationPath: folder("copy/elsewhere"))
        }
        for line in ["verify run", "resume run --steps 25", "verify run --repair", "runs show run --order backward --iterate 18"] {
          let command = try run(line)
          #expect([0, 65, 66, 73, 74].contains(command.status), "\(file): \(line): \(command.status) \(command.errors)")
        }
        #expect(FileManager.default.subpaths(atPath: folder("copy/elsewhere")) == before, "\(file): what a link led to is changed")
      }
    }
  }

  /// Files that are not Backtrail's own stay.
  @Test func foreignFilesStay() throws {
    try makeRun()
    for name in ["notes.txt", "my.ckpt", "0-forward.ckpt.bak"] { try folder.write("mine", to: "run/checkpoints/\(name)") }
    try folder.write("left over", to: "run/checkpoints/0-forward-20-15.ckpt.\(UUID().uuidString).partial")
    #expect(try Command(["resume", "run", "--steps", "25"], in: folder.path).status == 0)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder("run/checkpoints"))
    #expect(names.contains("notes.txt") && names.contains("my.ckpt") && names.contains("0-forward.ckpt.bak"))
    #expect(!names.contains { $0.hasSuffix(".partial") })
  }
}
