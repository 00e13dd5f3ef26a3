import Formats
import Foundation
import GRDB
import Replay
import Tensors

/// A checkpoint as the run database describes it.
public struct CheckpointRecord: Hashable, Sendable {
  public var seed: Int
  /// The composition order and iterate on whose path the state lies.
  public var order: CompositionOrder
  public var n: Int
  /// The number of updates the state has had. They applied the first `position` batches of the iterate's sequence.
  public var position: Int
  /// The name of its file in `checkpoints/`.
  public var file: String
  /// Forward's running averages at this state, in the order of the averaging rules; empty if none are stored.
  public var averages: [StoredAverage]
  /// The position of the parent: the checkpoint on the same path that this state is stored as the difference to. Nil
  /// for a self-contained checkpoint.
  public var parent: Int?
  /// Total size of its files in bytes.
  public var bytes: Int
  /// Digest of the training state with its update count.
  public var digest: Digest

  var files: [String] { [file] + averages.map(\.file) }
}

/// A running average that is stored with a state.
public struct StoredAverage: Codable, Hashable, Sendable {
  /// The name of its file in `checkpoints/`.
  public var file: String
  /// Digest of the average's floats with the update count.
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

  /// The point of the replay where the state lies, as a planner names it.
  /// - Parameter order: The index of the record's order among the planner's orders.
  public func point(order: Int) -> ReplicaProgress.StoredPoint {
    .init(PathPoint(Iterate(order: order, n: n), position: position), hasAverages: !averages.isEmpty)
  }
}

/// The names of the files in `checkpoints/`: `SEED-SERIES-N-POSITION.ckpt`, and `SEED-SERIES-N-POSITION-RULE.ckpt`
/// for a running average.
package enum CheckpointName {
  /// The name of a state's file, without its extension.
  static func stem(seed: Int, order: CompositionOrder, n: Int, position: Int) -> String {
    "\(seed)-\(slug(order.description))-\(n)-\(position)"
  }

  static func file(_ stem: String, average rule: String? = nil) -> String {
    stem + (rule.map { "-\(slug($0))" } ?? "") + ".ckpt"
  }

  /// An order or an average as part of a file name. Orders read from files are told apart by a hash of their path.
  private static func slug(_ name: String) -> String {
    guard OrderFile.path(in: name) == nil else {
      return "file-" + Digest(of: Array(name.utf8).span.bytes).description.prefix(12)
    }
    return name.replacing(":", with: "_").replacing(" ", with: "_")
  }

  /// Whether Backtrail gives files such names, whether they are finished or not. Only such files are ever opened or
  /// removed.
  ///
  /// This is called for every row that is read, so it compares bytes: a `Regex` would be compiled anew each time.
  package static func isOwn(_ name: String) -> Bool {
    guard name.utf8.count <= 255 else { return false }
    let file = UnfinishedFile.finalName(of: name) ?? name
    guard file.hasSuffix(".ckpt") else { return false }
    let parts = file.utf8.dropLast(".ckpt".utf8.count).split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    guard parts.count >= 4, isNumber(parts[0]) else { return false }
    // A series may itself contain dashes and numbers, so n and the position are wherever the rest is a series and a
    // rule.
    return (2..<parts.count - 1).contains { place in
      isNumber(parts[place]) && isNumber(parts[place + 1]) && isWord(parts[1..<place], capitals: true)
        && (place + 2 == parts.count || isWord(parts[(place + 2)...], capitals: false))
    }
  }

  private static func isNumber(_ part: Substring.UTF8View) -> Bool {
    !part.isEmpty && part.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
  }

  /// Whether the parts, joined by dashes, are a lower-case letter followed by letters, digits or any of `_.+-`.
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
