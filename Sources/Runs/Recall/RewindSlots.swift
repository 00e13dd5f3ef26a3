import Formats
import Foundation
import Replay
import Tensors

/// The cost that a rewind schedule with disk slots minimizes. With memory slots alone, the fewest updates also take
/// the least time.
public enum RewindGoal: String, CaseIterable, Codable, Sendable {
  /// The least time, computed from the measured times of an update, a write and a read.
  case time
  /// The fewest updates, however long writing and reading take.
  case updates
}

/// The slots that a rewind may use.
public struct RewindSlots: Sendable {
  /// The number of states held in memory besides the start and the current state. More slots than there are states
  /// are not used.
  public var memory: Int
  /// The number of states held in files.
  public var disk: Int
  /// The precision of parameters and buffers in slots of both tiers; optimizer slots stay as they are. A 16-bit precision
  /// rounds them, so that what is computed from them is approximate.
  public var precision: CheckpointPrecision
  /// The cost that the use of disk slots minimizes.
  public var least: RewindGoal

  public init(memory: Int, disk: Int = 0, precision: CheckpointPrecision = .float32, least: RewindGoal = .time) {
    self.memory = memory
    self.disk = disk
    self.precision = precision
    self.least = least
  }
}

/// The slots of one rewind in both tiers, each with a meter. Their memory is allocated when they are made.
struct RewindStores {
  let memory: SlotMeter
  let disk: SlotMeter?

  /// - Parameters:
  ///   - initial: A state of the run.
  ///   - files: The files that hold the states on disk; nil if there are no disk slots.
  /// - Throws: `RunError.impossible` if the system lacks the memory, and `TensorError.outOfMemory`.
  init<Problem>(
    _ specification: RunSpecification<Problem>, like initial: StoredState, slots: Int, precision: CheckpointPrecision, files: SlotFiles?
  ) throws {
    let folder = initial.read { $0.values.pager?.folder }
    let bytes = Self.bytes(specification, precision)
    if folder == nil { try Self.checkMemory(slots: slots, bytes: bytes) }
    let store: any SlotStorage =
      precision == .float32
      ? try MemorySlots(count: slots, for: specification.maps[0])
      : try PackedSlots(
        count: slots, stateCount: specification.stateCount, roundedCount: specification.namedCount, precision: precision,
        pagedIn: folder)
    memory = SlotMeter(store) { _ in bytes }
    disk = files.map { files in SlotMeter(files) { try files.bytes(slot: $0) } }
  }

  /// The size in bytes of a state in memory, which is about the most that one takes on disk.
  static func bytes<Problem>(_ specification: RunSpecification<Problem>, _ precision: CheckpointPrecision) -> Int {
    precision == .float32
      ? specification.stateBytes
      : PackedSlots.bytesPerSlot(stateCount: specification.stateCount, roundedCount: specification.namedCount)
  }

  /// Slots are filled one after the other, so without this check a lack of memory would show up late.
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
  /// Makes the disk slots of a rewind.
  static func ofRewind<Problem>(
    _ folder: RunFolder, _ specification: RunSpecification<Problem>, _ precision: CheckpointPrecision
  ) throws -> SlotFiles {
    let rounded = CheckpointSection(count: specification.namedCount, precision: precision)
    return try .ofReader(folder, rounded: precision == .float32 ? nil : rounded)
  }
}
