import Formats
import Foundation
import GRDB
import Replay
import Tensors

/// The measured values and the digest of one iterate.
public struct Observation: Hashable, Sendable {
  public var seed: Int
  public var series: Series
  public var n: Int
  public var measurements: Measurements
  /// The mean loss over the batch of the iterate's last update, of the state before that update and as the update came by it: in training,
  /// with what layers draw at random. Batch n for forward, batch 1 for backward: the last batch of the iterate's sequence. Nil for
  /// averages, for problems whose updates come by no loss, where it is not finite, and in runs of releases that did not note it.
  public var trainingLoss: Double?
  /// Digest of the training state with its update count.
  public var digest: Digest

  public init(
    seed: Int, series: Series, n: Int, measurements: Measurements, trainingLoss: Double? = nil, digest: Digest
  ) {
    self.seed = seed
    self.series = series
    self.n = n
    self.measurements = measurements
    self.trainingLoss = trainingLoss.flatMap { abs($0) <= Metric.largestMagnitude ? $0 : nil }
    self.digest = digest
  }
}

extension Observation {
  /// Whether both say the same of the same iterate, as far as both know it: a training loss may be known to one of them alone.
  func agrees(with other: Observation) -> Bool {
    var same = other
    if trainingLoss == nil || other.trainingLoss == nil { same.trainingLoss = trainingLoss }
    return self == same
  }
}

extension Observation: CustomStringConvertible {
  public var description: String { "\(series) n \(n) seed \(seed): \(measurements), digest \(digest)" }
}

extension Observation: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: DocumentKey.self)
    try document.encode(seed, forKey: "seed")
    try document.encode(series, forKey: "series")
    try document.encode(n, forKey: "n")
    try document.encode(measurements, trainingLoss: trainingLoss)
    try document.encode(digest, forKey: "digest")
  }
}

extension Observation: StoredRow {
  static let table = "observation"
  static let key = ["seed", "series", "n"]

  init(_ columns: RowColumns) throws(BrokenRow) {
    seed = try columns.integer("seed", in: RowBounds.possibleSeeds)
    series = try columns.series("series")
    n = try columns.integer("n", in: RowBounds.possibleIterates)
    (measurements, trainingLoss) = try columns.measurements("measurements")
    digest = try columns.digest("digest")
  }

  var columns: [String: DatabaseValue] {
    [
      "seed": seed.databaseValue, "series": series.description.databaseValue, "n": n.databaseValue,
      "measurements": Self.text(measurements.values + (trainingLoss.map { [$0] } ?? [])).databaseValue, "digest": digest.description.databaseValue,
    ]
  }

  /// The values as the database stores them, those of the metrics and then the training loss if there is one: a JSON list, which SQLite's `json_extract(measurements, '$[0]')` can
  /// read.
  static func text(_ values: [Double]) -> String { "[" + values.map { "\($0)" }.joined(separator: ",") + "]" }

  /// Reads the form that `text(_:)` writes; nil for anything else.
  static func values(_ text: String) -> [Double]? {
    guard text.utf8.first == UInt8(ascii: "["), text.utf8.last == UInt8(ascii: "]"), text.utf8.count <= 1 << 16 else { return nil }
    let values = text.dropFirst().dropLast().split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
    guard values.allSatisfy({ $0?.isFinite == true }) else { return nil }
    return values.compactMap { $0 }
  }
}

/// What the rows of a run can contain: its seeds, its iterates and its metrics.
struct RowBounds: Sendable {
  let seeds: Range<Int>
  let lastIterate: Int
  let metrics: [Metric]

  /// The seeds (`possibleSeeds`) and iterates (`possibleIterates`) that some run can have.
  static let possibleSeeds = 0...Int.max - 1_000_000
  static let possibleIterates = 1...BatchRun.largestBatch

  func contains(seed: Int, n: Int) -> Bool { seeds.contains(seed) && n <= lastIterate }
}
