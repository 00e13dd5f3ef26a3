import Foundation
import Storage
import Tensors

/// What a run's folder says, read without its data: the document `runs show --json` prints.
public struct StoredRun: Sendable {
  public let run: String
  /// `unfinished`, `finished`, `interrupted` or `failed`.
  public let status: String
  public let createdAt: Date
  public let configuration: RunConfiguration
  public let fingerprint: String
  /// Also counted before the run has finished.
  public let observationCount: Int
  /// Without iterates; nil until the run has finished.
  public let result: RunResult?

  public init(_ path: String) throws {
    let folder = try RunFolder.open(path)
    let database = try RunDatabase.open(folder)
    let record = try database.record()
    let stored = try StoredConfiguration(record, in: folder)
    database.expect(stored.bounds)
    run = folder.path
    status = record.status.rawValue
    createdAt = record.createdAt
    configuration = stored.configuration
    fingerprint = record.fingerprint
    observationCount = try database.observationCount()
    result = try RunResult(record, of: stored.configuration, in: folder)
  }

  /// The runs directly inside the folder `path`, by name.
  /// - Parameter didFail: told of each run that can't be read.
  public static func list(in path: String, didFail: (any Error) -> Void = { _ in }) -> [StoredRun] {
    RunFolder.runs(in: path).compactMap { folder in
      do {
        return try StoredRun(folder.path)
      } catch {
        didFail(error)
        return nil
      }
    }
  }
}

/// The part of a run's record that says what was asked for.
struct StoredConfiguration: Codable {
  let configuration: RunConfiguration
  let inputs: InputDigests
  /// Whether the run has copies of its order files; runs of the first version have none.
  let keepsOrders: Bool?

  init(_ experiment: Experiment) {
    configuration = experiment.configuration
    inputs = experiment.inputs
    keepsOrders = true
  }

  var bounds: RowBounds { configuration.bounds }

  init(_ record: RunRecord, in folder: RunFolder) throws(StorageError) {
    self = try decodeJSON(Self.self, from: record.configuration, in: folder)
  }
}

extension RunConfiguration {
  var bounds: RowBounds { RowBounds(seeds: seeds, lastIterate: self.steps) }

  /// The files of its orders `file:PATH`, each with its place among the orders.
  var orderFiles: [(place: Int, path: String)] {
    self.orders.enumerated().compactMap { place, order in filePath(in: OrderRequest(order).order).map { (place, $0) } }
  }
}

extension RunFolder {
  /// Copies what order files hold into the run, which can then be replayed without them.
  func keepOrders(_ texts: [String: String], of configuration: RunConfiguration) throws {
    for (place, path) in configuration.orderFiles where !FileManager.default.fileExists(atPath: orderPath(place)) {
      try keepOrder(Array((texts[path] ?? "").utf8), at: orderPath(place))
    }
  }

  func keepOrder(_ bytes: [UInt8], at copy: String) throws {
    let folder = URL(fileURLWithPath: copy).deletingLastPathComponent()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try keep(bytes, at: copy)
  }

  /// The run's copies of its order files, by path; a run of the first version has none, and reads the files.
  /// - Throws: `RunError.damaged` where a copy is not what it was.
  func orderTexts(of configuration: RunConfiguration, _ inputs: InputDigests) throws -> [String: String] {
    var texts: [String: String] = [:]
    for (place, path) in configuration.orderFiles where FileManager.default.fileExists(atPath: orderPath(place)) {
      texts[path] = try orderText(at: orderPath(place), of: path, inputs)
    }
    return texts
  }

  /// One of the run's copies of its order files.
  /// - Throws: `RunError.damaged` where it is not what it was.
  func orderText(at copy: String, of path: String, _ inputs: InputDigests) throws -> String {
    let bytes = try readOrderFile(copy)
    guard Digest(of: bytes.span.bytes) == inputs.files[path] else {
      throw RunError.damaged("\(copy) is not the order file that \(self.path) was made from; bring back a copy of \(path)")
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

func encodeJSON(_ value: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(value), as: UTF8.self)
}

func decodeJSON<Value: Decodable>(
  _ type: Value.Type, from json: String, in folder: RunFolder
) throws(StorageError) -> Value {
  do {
    return try JSONDecoder().decode(type, from: Data(json.utf8))
  } catch {
    throw .damaged(path: folder.databasePath, reason: "its row about the run can't be read: \(words(of: error))")
  }
}

/// What is wrong with a document. The library's own errors are for programmers.
private func words(of error: any Error) -> String {
  return switch error {
  case DecodingError.keyNotFound(let key, let context): "it has no \((context.codingPath + [key]).place)"
  case DecodingError.valueNotFound(_, let context): "its \(context.codingPath.place) is null"
  case DecodingError.typeMismatch(_, let context) where context.codingPath.isEmpty: "it is of another kind"
  case DecodingError.typeMismatch(_, let context): "its \(context.codingPath.place) is of another kind"
  case DecodingError.dataCorrupted(let context) where context.codingPath.isEmpty: "it is not JSON"
  case DecodingError.dataCorrupted(let context): "its \(context.codingPath.place) can't be what it says"
  default: "\(error)"
  }
}

extension [any CodingKey] {
  /// Where in a document a value stands, such as `points[2].skill`.
  package var place: String {
    map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue.prefix(100))" }.joined().trimmingPrefix(".").description
  }
}
