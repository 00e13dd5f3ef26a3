import Formats
import Foundation
import Replay
import Tensors

/// The content of a run's folder, read without its data or its problem's code: the document that `runs show --json`
/// prints.
public struct StoredRun: Sendable {
  public let run: String
  /// The status: `unfinished`, `finished`, `interrupted` or `failed`.
  public let status: String
  public let createdAt: Date
  public let description: RunDescription
  public let fingerprint: String
  /// The number of observations so far, even if the run has not finished.
  public let observationCount: Int
  /// The first diverged iterate of each series and seed that has one.
  public let firstDivergences: [DivergedIterate]
  /// The result without iterates; nil until the run has finished.
  public let result: RunResult?

  public var problem: ProblemDescription { description.problem }
  public var workload: WorkloadDescription { description.workload }

  public init(_ path: String) throws {
    let folder = try RunFolder.open(path)
    let database = try RunDatabase.open(folder)
    let record = try database.record()
    let description = try RunDescription(record, in: folder)
    database.expect(description.bounds)
    run = folder.path
    status = record.status.rawValue
    createdAt = record.createdAt
    self.description = description
    fingerprint = record.fingerprint
    observationCount = try database.observationCount()
    var firstDivergences: [DivergedIterate] = []
    // They are in the order of seed, series and n.
    for iterate in try database.divergences() {
      if let last = firstDivergences.last, last.seed == iterate.seed, last.series == iterate.series { continue }
      firstDivergences.append(iterate)
    }
    self.firstDivergences = firstDivergences
    result = try RunResult(record, of: description, in: folder)
  }

  /// The runs directly inside the folder `path`, in order of their names.
  /// - Parameter didFail: Called with the error of each run that can't be read.
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

  /// The run's database. It is opened anew each time, since few of many runs are read in full.
  package func database() throws -> RunDatabase {
    let database = try RunDatabase.open(RunFolder.open(run))
    database.expect(description.bounds)
    return database
  }

  /// All observations, ordered by seed, series and n.
  public func observations() throws -> [Observation] { try database().observations() }

  /// All diverged iterates, ordered by seed, series and n.
  public func divergences() throws -> [DivergedIterate] { try database().divergences() }

  /// The observations of all series, whether or not the run has finished, in the order of the summary if there is
  /// one.
  public func observed() throws -> [ObservedSeries] {
    let database = try database()
    let series = try result?.summary.compactMap(\.series) ?? workload.sorted(database.observedSeries())
    return try ObservedIterates(database: database).series(series, seeds: workload.seeds)
  }
}

extension StoredRun: Encodable {
  private enum CodingKeys: String, CodingKey {
    case run, status, createdAt, problem, metrics, configuration, fingerprint, observations, diverged, result
  }

  /// Encodes the run. Observations are read while they are written.
  public func encode(to encoder: any Encoder) throws {
    let database = try database()
    var document = encoder.container(keyedBy: CodingKeys.self)
    try document.encode(run, forKey: .run)
    try document.encode(status, forKey: .status)
    try document.encode(createdAt, forKey: .createdAt)
    try document.encode(problem.name, forKey: .problem)
    try document.encode(problem.metrics, forKey: .metrics)
    try document.encode(description.configuration, forKey: .configuration)
    try document.encode(fingerprint, forKey: .fingerprint)
    try document.encodeIfPresent(
      result.map { RunDocument(result: $0, iterates: ObservedIterates(database: database)) }, forKey: .result)
    var observations = document.nestedUnkeyedContainer(forKey: .observations)
    try database.forEachObservation { try observations.encode($0) }
    let diverged = try database.divergences()
    if !diverged.isEmpty { try document.encode(diverged, forKey: .diverged) }
  }
}

extension RunFolder {
  /// Copies the contents of order files into the run, which can then be replayed without the originals.
  func keepOrders(_ texts: [String: String], of workload: WorkloadDescription) throws {
    for (place, path) in workload.orderFiles where !FileManager.default.fileExists(atPath: orderPath(place)) {
      try keepOrder(Array((texts[path] ?? "").utf8), at: orderPath(place))
    }
  }

  func keepOrder(_ bytes: [UInt8], at copy: String) throws {
    let folder = URL(fileURLWithPath: copy).deletingLastPathComponent()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try keep(bytes, at: copy)
  }

  /// The contents of the run's order files, by path. Runs of the first release have no copies, so their original
  /// files are read.
  /// - Throws: `RunError.damaged` if a copy has changed.
  package func orderTexts(of description: RunDescription) throws -> [String: String] {
    var texts: [String: String] = [:]
    for (place, path) in description.workload.orderFiles {
      let copy = orderPath(place)
      texts[path] =
        FileManager.default.fileExists(atPath: copy)
        ? try orderText(at: copy, of: path, description.inputs) : String(decoding: try OrderFile.read(path), as: UTF8.self)
    }
    return texts
  }

  /// The content of one of the run's copies of its order files.
  /// - Throws: `RunError.damaged` if it has changed.
  func orderText(at copy: String, of path: String, _ inputs: InputDigests) throws -> String {
    let bytes = try OrderFile.read(copy)
    guard Digest(of: bytes.span.bytes) == inputs.files[path] else {
      throw RunError.damaged("\(copy) is not the order file that \(self.path) was made from; bring back a copy of \(path)")
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
