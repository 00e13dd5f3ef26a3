import Formats
import Foundation
import GRDB
import Replay
import Tensors

/// Converts databases of earlier releases, whose runs were all of classifying networks: observations had one column
/// for the test loss and one for the test accuracy, and the run's row held one flat list of settings. This migration
/// gives observations a list of values and divides the settings into those of the problem, the workload and the
/// budgets.
///
/// A row whose seal does not match its values keeps a seal that does not match.
enum NamedMetrics {
  static func replaceObservations(in database: Database) throws {
    try database.rename(table: "observation", to: "earlier")
    try database.create(table: "observation", options: .withoutRowID) { table in
      table.primaryKey {
        table.column("seed", .integer)
        table.column("series", .text)
        table.column("n", .integer)
      }
      table.column("measurements", .text).notNull()
      table.column("digest", .text).notNull()
      table.column("seal", .text).notNull()
    }
    let rows = try Row.fetchCursor(database, sql: "SELECT * FROM earlier")
    while let row = try rows.next() {
      var values = row.valuesByName
      let seal = values.removeValue(forKey: "seal") ?? .null
      // The seal was made under the table's earlier name.
      let isSound = RowSeal.digest(table: "observation", values).description == String.fromDatabaseValue(seal)
      let numbers = ["testLoss", "testAccuracy"].map { Double.fromDatabaseValue(values.removeValue(forKey: $0) ?? .null) ?? .nan }
      values["measurements"] = Observation.text(numbers).databaseValue
      values["seal"] = isSound ? RowSeal.digest(table: "observation", values).description.databaseValue : seal
      let names = values.keys.sorted()
      try database.execute(
        sql: "INSERT INTO observation (\(names.joined(separator: ", "))) VALUES (\(names.map { _ in "?" }.joined(separator: ", ")))",
        arguments: StatementArguments(names.map { values[$0] ?? .null }))
    }
    try database.drop(table: "earlier")
  }

  static func replaceDescription(in database: Database) throws {
    guard let row = try Row.fetchOne(database, sql: "SELECT * FROM run") else { return }
    var values = row.valuesByName
    let seal = String.fromDatabaseValue(values.removeValue(forKey: "seal") ?? .null)
    guard RowSeal.digest(table: "run", values).description == seal,
      let text = String.fromDatabaseValue(values["configuration"] ?? .null), let parted = try parted(text)
    else { return }
    values["configuration"] = parted.databaseValue
    try database.execute(
      sql: "UPDATE run SET configuration = ?, seal = ?",
      arguments: [parted, RowSeal.digest(table: "run", values).description])
  }

  /// A description with its settings divided; nil if the text is not a description.
  private static func parted(_ text: String) throws -> String? {
    guard case .object(let earlier)? = try? JSONDecoder().decode(JSONValue.self, from: Data(text.utf8)),
      case .object(var settings)? = earlier["configuration"]
    else { return nil }
    func take(_ keys: [String: JSONValue]) -> [String: JSONValue] {
      var taken: [String: JSONValue] = [:]
      for (key, usual) in keys {
        let value = settings.removeValue(forKey: key) ?? usual
        if value != .null { taken[key] = value }
      }
      return taken
    }
    let workload = take([
      "orders": ["forward", "backward"], "steps": 1000, "evaluate": "every:50", "seed": 0, "seedCount": 1, "averages": [],
      "tolerance": 0.005, "costBudget": .null,
    ])
    let budgets = take([
      "lanes": 1, "memoryBudget": .null, "diskBudget": .null, "checkpointEvery": 1000, "checkpointChain": 0, "checkpointLevel": 1,
    ])
    let metrics: [JSONValue] = [
      .object(["name": "testLoss", "unit": "nats", "isLessBetter": true]),
      .object(["name": "testAccuracy", "isLessBetter": false, "least": 0, "greatest": 1]),
    ]
    let problem: [String: JSONValue] = [
      "name": .text("\(settings["model"] ?? "a network") on \(settings["data"] ?? "its data")"), "kind": "network", "settings": .object(settings),
      "metrics": .list(metrics), "hasJournal": true,
    ]
    var description = earlier
    description["configuration"] = nil
    description["problem"] = .object(problem)
    description["workload"] = .object(workload)
    description["budgets"] = .object(budgets)
    return try encodeJSON(description)
  }
}
