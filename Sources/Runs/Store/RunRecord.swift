import Formats
import Foundation
import GRDB
import Replay
import Tensors

/// A run's one row about itself.
public struct RunRecord: Sendable {
  public enum Status: String, Codable, Sendable {
    /// Begun, and not known to have ended.
    case unfinished
    case finished
    /// Stopped by a signal; it can be resumed.
    case interrupted
    /// Stopped by an error; what was observed before is there.
    case failed
  }

  /// JSON.
  public var configuration: String
  /// What decides bits besides the configuration.
  public var fingerprint: String
  public var status: Status
  public var createdAt: Date
  /// JSON; nil until the run has finished.
  public var result: String?
  /// Tells the run's files from those of every other run.
  public let identity: String

  public init(configuration: String, fingerprint: String, createdAt: Date) {
    self.configuration = configuration
    self.fingerprint = fingerprint
    // Whole seconds: what SQLite gives back is then what it was given, to the bit.
    self.createdAt = Date(timeIntervalSince1970: createdAt.timeIntervalSince1970.rounded())
    status = .unfinished
    identity = UUID().uuidString
  }
}

extension RunRecord: StoredRow {
  static let table = "run"
  static let key: [String] = []

  init(_ columns: RowColumns) throws(BrokenRow) {
    _ = try columns.integer("id", in: 1...1)
    configuration = try columns.text("configuration")
    fingerprint = try columns.text("fingerprint")
    guard let status = Status(rawValue: try columns.text("status")) else { throw BrokenRow("its status is none a run has") }
    self.status = status
    createdAt = try columns.value("createdAt", as: "a date")
    // Up to the year 9999; calendars end somewhere.
    guard (0...253_402_300_799).contains(createdAt.timeIntervalSince1970) else { throw BrokenRow("its createdAt is no date of a run") }
    result = try columns.optionalText("result")
    identity = try columns.text("identity")
  }

  var columns: [String: DatabaseValue] {
    [
      "id": 1.databaseValue, "configuration": configuration.databaseValue, "fingerprint": fingerprint.databaseValue,
      "status": status.rawValue.databaseValue, "createdAt": createdAt.databaseValue,
      "result": result?.databaseValue ?? .null, "identity": identity.databaseValue,
    ]
  }
}
