import Formats
import Replay
import Tensors

/// Slots in memory that round the first floats of a state (parameters and buffers) to 16 bits and keep the rest
/// (optimizer slots) in 32 bits.
public struct PackedSlots: SlotStorage {
  private struct Contents: ~Copyable {
    /// The rounded floats, two in each float's place, followed by the others.
    var values: FloatBuffer
    var updateCount = 0
  }

  private final class PackedSlot: Sendable {
    let contents: Lock<Contents>

    init(count: Int, pagedIn folder: String?) throws {
      let values = try folder.map { try FloatBuffer(count: count, pagedIn: $0) } ?? FloatBuffer(count: count)
      contents = Lock(Contents(values: values))
    }
  }

  private let slots: [PackedSlot]
  private let stateCount: Int
  private let roundedCount: Int
  private let precision: CheckpointPrecision
  /// The number of floats whose space the rounded ones take.
  private var packedCount: Int { Self.packedCount(roundedCount) }

  private static func packedCount(_ roundedCount: Int) -> Int { (roundedCount + 1) / 2 }

  /// The number of floats that a slot takes.
  private static func room(stateCount: Int, roundedCount: Int) -> Int { packedCount(roundedCount) + stateCount - roundedCount }

  /// The size of a slot in bytes.
  public static func bytesPerSlot(stateCount: Int, roundedCount: Int) -> Int {
    room(stateCount: stateCount, roundedCount: roundedCount) * MemoryLayout<Float>.stride
  }

  /// - Parameters:
  ///   - stateCount: The length of a state, in floats.
  ///   - roundedCount: The number of its leading floats that are rounded.
  ///   - precision: One of the 16-bit precisions.
  ///   - folder: Where the content of slots waits in files; nil to keep it in memory.
  /// - Throws: `TensorError.outOfMemory`, `PagingError.cannotMake`.
  public init(count: Int, stateCount: Int, roundedCount: Int, precision: CheckpointPrecision, pagedIn folder: String? = nil) throws {
    precondition((0...stateCount).contains(roundedCount), "the rounded floats are some of the state's")
    precondition(precision != .float32, "what is not rounded is not packed")
    self.stateCount = stateCount
    self.roundedCount = roundedCount
    self.precision = precision
    let room = Self.room(stateCount: stateCount, roundedCount: roundedCount)
    slots = try (0..<count).map { _ in try PackedSlot(count: room, pagedIn: folder) }
  }

  public func save(_ state: borrowing TrainingState, slot: Int) throws {
    try slots[slot].contents.withLock { contents throws in
      contents.updateCount = state.updateCount
      try state.values.forEachPart(of: rounded) { part, floats in
        try contents.values.withMutablePart(packed(part), overwriting: true) { room in
          switch precision {
          case .bfloat16: room.packBfloat16(floats)
          case .float16: room.packFloat16(floats)
          case .float32: break
          }
        }
      }
      try state.values.forEachPart(of: others) { part, floats in
        try contents.values.withMutablePart(moved(part), overwriting: true) { $0.copy(from: floats) }
      }
    }
  }

  public func load(slot: Int, into state: inout TrainingState) throws {
    state.updateCount = try slots[slot].contents.withLock { contents throws in
      try state.values.forEachMutablePart(of: rounded, overwriting: true) { part, floats in
        try contents.values.withPart(packed(part)) { room in
          switch precision {
          case .bfloat16: floats.unpackBfloat16(room)
          case .float16: floats.unpackFloat16(room)
          case .float32: break
          }
        }
      }
      try state.values.forEachMutablePart(of: others, overwriting: true) { part, floats in
        try contents.values.withPart(moved(part)) { floats.copy(from: $0) }
      }
      return contents.updateCount
    }
  }

  private var rounded: Region { Region(offset: 0, count: roundedCount) }
  private var others: Region { Region(offset: roundedCount, count: stateCount - roundedCount) }

  /// Where a slot has a part of the rounded floats, which begins at an even place.
  private func packed(_ part: Region) -> Region { Region(offset: part.offset / 2, count: (part.count + 1) / 2) }

  /// Where a slot has a part of the others.
  private func moved(_ part: Region) -> Region { Region(offset: packedCount + part.offset - roundedCount, count: part.count) }

  public func release(slot: Int) {}
}
