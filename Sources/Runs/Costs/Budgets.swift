import Formats
import Foundation
import Replay
import Tensors

/// The limits on what a run may use. None of them changes a bit of its results.
public struct Budgets: Hashable, Sendable {
  /// The largest number of lanes.
  public var lanes: Int
  /// The most memory the process may take, resident and as a container counts it; nil for no limit.
  public var memory: MemoryLimit?
  /// The largest total size of all checkpoints in bytes; nil for no limit.
  public var disk: Int?
  /// When states are stored, and how.
  public var checkpoints: CheckpointPolicy

  /// The largest number of lanes a run can be given.
  public static let mostLanes = 1024

  /// - Parameters:
  ///   - lanes: The largest number of lanes; nil for the number of the processor's cores.
  ///   - memory: The most memory the process may take; an automatic budget is what the system lets it have now. Nil for no limit.
  public init(
    lanes: Int? = nil, memory: MemoryBudget? = nil, disk: ByteCount? = nil, checkpoints: CheckpointPolicy = CheckpointPolicy()
  ) {
    self.lanes = lanes ?? ProcessInfo.processInfo.activeProcessorCount
    self.memory = memory?.limit
    self.disk = disk?.bytes
    self.checkpoints = checkpoints
  }

  /// - Throws: `RunError.usage` if a number is out of range.
  func check() throws(RunError) {
    func check(_ name: String, _ number: Int, in range: ClosedRange<Int>) throws(RunError) {
      guard range.contains(number) else {
        throw .usage("`\(name)` is \(number), but must be a whole number from \(range.lowerBound) to \(range.upperBound)")
      }
    }
    try check("lanes", lanes, in: 1...Self.mostLanes)
    try check("checkpoint-every", checkpoints.interval ?? 0, in: 0...BatchRun.largestBatch)
    try check("checkpoint-chain", checkpoints.chainLength, in: 0...100)
    try check("checkpoint-level", checkpoints.level, in: CheckpointOptions.levels)
    for (name, bytes) in [("memory-budget", memory?.bytes), ("disk-budget", disk)] {
      if let bytes { try check(name, bytes, in: 1...Int.max) }
    }
  }
}

/// When states are stored, and how.
public struct CheckpointPolicy: Hashable, Sendable {
  /// The number of updates on a path from one checkpoint to the next; nil for no checkpoints.
  public var interval: Int?
  /// The largest number of successive checkpoints of a path that are stored as differences to the one before.
  public var chainLength: Int
  /// The compression level of zstd.
  public var level: Int

  public init(every interval: Int? = 1000, chainLength: Int = 0, level: Int = 1) {
    self.interval = interval
    self.chainLength = chainLength
    self.level = level
  }
}

extension Budgets: Codable {
  private enum CodingKeys: String, CodingKey {
    case lanes, memoryBudget, diskBudget, checkpointEvery, checkpointChain, checkpointLevel
  }

  public init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: CodingKeys.self)
    let interval = try stored.decode(Int.self, forKey: .checkpointEvery)
    self.init(
      lanes: try stored.decode(Int.self, forKey: .lanes),
      memory: try stored.decodeIfPresent(Int.self, forKey: .memoryBudget).map(MemoryBudget.bytes),
      disk: try stored.decodeIfPresent(Int.self, forKey: .diskBudget).map(ByteCount.bytes),
      checkpoints: CheckpointPolicy(
        every: interval == 0 ? nil : interval, chainLength: try stored.decode(Int.self, forKey: .checkpointChain),
        level: try stored.decode(Int.self, forKey: .checkpointLevel)))
    try check()
  }

  public func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: CodingKeys.self)
    try document.encode(lanes, forKey: .lanes)
    try document.encodeIfPresent(memory?.bytes, forKey: .memoryBudget)
    try document.encodeIfPresent(disk, forKey: .diskBudget)
    try document.encode(checkpoints.interval ?? 0, forKey: .checkpointEvery)
    try document.encode(checkpoints.chainLength, forKey: .checkpointChain)
    try document.encode(checkpoints.level, forKey: .checkpointLevel)
  }
}

/// A size in bytes.
public struct ByteCount: Hashable, Sendable {
  public let bytes: Int

  public static func bytes(_ count: Int) -> ByteCount { ByteCount(bytes: count) }
  public static func kibibytes(_ count: Int) -> ByteCount { ByteCount(bytes: count << 10) }
  public static func mebibytes(_ count: Int) -> ByteCount { ByteCount(bytes: count << 20) }
  public static func gibibytes(_ count: Int) -> ByteCount { ByteCount(bytes: count << 30) }

  private init(bytes: Int) { self.bytes = bytes }

  /// Reads a size such as `500MiB`, `2GiB`, `64KiB` or a plain number of bytes; nil for anything else.
  public init?(_ text: String) {
    let units = ["KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40]
    let unit = units.first { text.hasSuffix($0.key) }
    guard let number = Double(text.dropLast(unit?.key.count ?? 0)), number >= 0, number < 1e6 || unit == nil,
      let bytes = Int(exactly: (number * Double(1 << (unit?.value ?? 0))).rounded())
    else { return nil }
    self.bytes = bytes
  }
}

extension ByteCount: CustomStringConvertible {
  /// The size in the form that `init(_:)` reads, without loss.
  public var description: String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] where bytes > 0 && bytes % (1 << shift) == 0 {
      return "\(bytes >> shift)\(unit)"
    }
    return String(bytes)
  }
}
