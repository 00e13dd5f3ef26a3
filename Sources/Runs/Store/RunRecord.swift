import Formats
import Foundation
import GRDB
import Replay
import Tensors

/// A run's row about itself, of which there is one.
public struct RunRecord: Sendable {
  public enum Status: String, Codable, Sendable {
    /// The run was begun and is not known to have ended.
    case unfinished
    case finished
    /// The run was stopped by a signal and can be resumed.
    case interrupted
    /// The run was stopped by an error. Earlier observations are stored.
    case failed
  }

  /// The run's description as JSON.
  public var configuration: String
  /// The numerics fingerprint: what determines bits besides the configuration.
  public var fingerprint: String
  public var status: Status
  public var createdAt: Date
  /// The run's result as JSON; nil until the run has finished.
  public var result: String?
  /// A unique identifier that tells the run's files from those of other runs.
  public let identity: String

  public init(configuration: String, fingerprint: String, createdAt: Date) {
    self.configuration = configuration
    self.fingerprint = fingerprint
    // Whole seconds survive SQLite without rounding.
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
    // The largest date is in the year 9999, since calendars have limits.
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
