import Formats
import Foundation
import GRDB
import Replay
import Tensors

/// A checkpoint as the run database knows it.
public struct CheckpointRecord: Hashable, Sendable {
  public var seed: Int
  /// The composition order and iterate on whose path the state lies.
  public var order: CompositionOrder
  public var n: Int
  /// Updates the state has had: the first so many batches of the iterate's sequence.
  public var position: Int
  /// Its file in `checkpoints/`.
  public var file: String
  /// Forward's running averages at this state, by rule; empty without any.
  public var averages: [StoredAverage]
  /// The checkpoint of the same path, by its position, that the state is stored as the difference to; nil for one that
  /// stands alone.
  public var parent: Int?
  /// Total size of its files in bytes.
  public var bytes: Int
  /// Of the training state and its update count.
  public var digest: Digest

  var files: [String] { [file] + averages.map(\.file) }
}

/// A running average that was stored with a state.
public struct StoredAverage: Codable, Hashable, Sendable {
  /// Its file in `checkpoints/`.
  public var file: String
  /// Of its floats and its update count.
  public var digest: Digest
}

extension CheckpointRecord: StoredRow {
  static let table = "checkpoint"
  static let key = ["seed", "series", "n", "position"]

  init(_ columns: RowColumns) throws(BrokenRow) {
    seed = try columns.integer("seed", in: RowBounds.possibleSeeds)
    order = try columns.order("series")
    n = try columns.integer("n", in: RowBounds.possibleIterates)
    position = try columns.integer("position", in: 1...Int.max)
    file = try columns.text("file")
    guard let averages = try? JSONDecoder().decode([StoredAverage].self, from: Data(try columns.text("averages").utf8)) else {
      throw BrokenRow("its averages can't be read")
    }
    self.averages = averages
    parent = try columns.optionalInteger("parent", in: 1...Int.max)
    guard parent ?? 0 < position else { throw BrokenRow("it is a difference to a state that comes after it") }
    bytes = try columns.integer("bytes", in: 0...1 << 60)
    digest = try columns.digest("digest")
    if let file = files.first(where: { !CheckpointName.isOwn($0) }) {
      throw BrokenRow("'\(file)' is no name of a checkpoint's file")
    }
  }

  var columns: [String: DatabaseValue] {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = .sortedKeys
      let averages = String(decoding: try encoder.encode(averages), as: UTF8.self)
      return [
        "seed": seed.databaseValue, "series": order.description.databaseValue, "n": n.databaseValue, "position": position.databaseValue,
        "file": file.databaseValue, "averages": averages.databaseValue, "parent": parent?.databaseValue ?? .null,
        "bytes": bytes.databaseValue, "digest": digest.description.databaseValue,
      ]
    }
  }

  /// Where the state lies, for a planner.
  /// - Parameter order: the place of the record's order among the planner's.
  public func point(order: Int) -> ReplicaProgress.StoredPoint {
    .init(PathPoint(Iterate(order: order, n: n), position: position), hasAverages: !averages.isEmpty)
  }
}

/// How the files in `checkpoints/` are called: `SEED-SERIES-N-POSITION.ckpt`, and `SEED-SERIES-N-POSITION-RULE.ckpt` for a
/// running average.
package enum CheckpointName {
  /// The name of a state's file, without its extension.
  static func stem(seed: Int, order: CompositionOrder, n: Int, position: Int) -> String {
    "\(seed)-\(slug(order.description))-\(n)-\(position)"
  }

  static func file(_ stem: String, average rule: String? = nil) -> String {
    stem + (rule.map { "-\(slug($0))" } ?? "") + ".ckpt"
  }

  /// An order or an average as part of a file's name; orders from files are told apart by a hash of their path.
  private static func slug(_ name: String) -> String {
    guard OrderFile.path(in: name) == nil else {
      return "file-" + Digest(of: Array(name.utf8).span.bytes).description.prefix(12)
    }
    return name.replacingOccurrences(of: ":", with: "_")
  }

  /// Whether Backtrail gives such names, to whole files or to those it has not finished. Only these are ever opened or removed.
  ///
  /// Every row that is read asks, so this looks at bytes: `Regex` is read anew each time it is used.
  package static func isOwn(_ name: String) -> Bool {
    guard name.utf8.count <= 255 else { return false }
    let file = UnfinishedFile.finalName(of: name) ?? name
    guard file.hasSuffix(".ckpt") else { return false }
    let parts = file.utf8.dropLast(".ckpt".utf8.count).split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    guard parts.count >= 4, isNumber(parts[0]) else { return false }
    // A series may hold dashes and numbers itself: n and the position stand wherever what is left is a series and a rule.
    return (2..<parts.count - 1).contains { place in
      isNumber(parts[place]) && isNumber(parts[place + 1]) && isWord(parts[1..<place], capitals: true)
        && (place + 2 == parts.count || isWord(parts[(place + 2)...], capitals: false))
    }
  }

  private static func isNumber(_ part: Substring.UTF8View) -> Bool {
    !part.isEmpty && part.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
  }

  /// Whether parts, with the dashes between them, are a small letter and then letters, digits or any of `_.+-`.
  private static func isWord(_ parts: ArraySlice<Substring.UTF8View>, capitals: Bool) -> Bool {
    guard let first = parts.first?.first, UInt8(ascii: "a")...UInt8(ascii: "z") ~= first else { return false }
    return parts.allSatisfy { part in
      part.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."),
          UInt8(ascii: "+"):
          true
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): capitals
        default: false
        }
      }
    }
  }
}
