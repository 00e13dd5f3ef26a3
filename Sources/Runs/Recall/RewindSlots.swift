import Formats
import Foundation
import Replay
import Tensors

/// What a schedule with disk slots spares. In memory alone the fewest updates take the least time.
public enum RewindGoal: String, CaseIterable, Codable, Sendable {
  /// The least time, by the measured times of an update, a write and a read.
  case time
  /// The fewest updates, whatever writing and reading take.
  case updates
}

/// The slots a rewind may use.
public struct RewindSlots: Sendable {
  /// States held in memory besides the start and the one at hand. More than there are states count as so many.
  public var memory: Int
  /// States held in files.
  public var disk: Int
  /// How parameters and buffers are kept in slots of both tiers; optimizer slots stay float32. 16 bits round them, and what
  /// is computed from them is approximate.
  public var precision: CheckpointPrecision
  /// What disk slots are used for.
  public var least: RewindGoal

  public init(memory: Int, disk: Int = 0, precision: CheckpointPrecision = .float32, least: RewindGoal = .time) {
    self.memory = memory
    self.disk = disk
    self.precision = precision
    self.least = least
  }
}

/// The slots of one rewind in both tiers, each with a meter. Memory is taken when they are made.
struct RewindStores {
  let memory: SlotMeter
  let disk: SlotMeter?

  /// - Parameter files: where states on disk are kept; nil for none.
  /// - Throws: `RunError.impossible` where the system has not the memory, and `TensorError.outOfMemory`.
  init<Problem>(_ specification: RunSpecification<Problem>, slots: Int, precision: CheckpointPrecision, files: SlotFiles?) throws {
    let bytes = Self.bytes(specification, precision)
    try Self.checkMemory(slots: slots, bytes: bytes)
    let store: any SlotStorage =
      precision == .float32
      ? try MemorySlots(count: slots, stateCount: specification.stateCount)
      : try PackedSlots(
        count: slots, stateCount: specification.stateCount, roundedCount: specification.namedCount, precision: precision)
    memory = SlotMeter(store) { _ in bytes }
    disk = files.map { files in SlotMeter(files) { try files.bytes(slot: $0) } }
  }

  /// Of a state in memory; about what one takes at most on disk.
  static func bytes<Problem>(_ specification: RunSpecification<Problem>, _ precision: CheckpointPrecision) -> Int {
    precision == .float32
      ? specification.stateBytes
      : PackedSlots.bytesPerSlot(stateCount: specification.stateCount, roundedCount: specification.namedCount)
  }

  /// Slots are filled one after the other, so that it would otherwise show late that they don't fit.
  static func checkMemory(slots: Int, bytes: Int) throws(RunError) {
    guard let available = SystemMemory.availableBytes, slots > available / bytes else { return }
    throw .impossible(
      """
      `slots`: \(slots) states of \(bytes) bytes do not fit the \(available >> 20) MiB of memory that are free; give at most \
      \(available / bytes), keep them on disk, or in 16 bits with `slot-precision`
      """)
  }
}

extension SlotFiles {
  /// The disk slots of a rewind.
  static func ofRewind<Problem>(
    _ folder: RunFolder, _ specification: RunSpecification<Problem>, _ precision: CheckpointPrecision
  ) throws -> SlotFiles {
    let rounded = CheckpointSection(count: specification.namedCount, precision: precision)
    return try .ofReader(folder, rounded: precision == .float32 ? nil : rounded)
  }
}
