import CKernels
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

    init(count: Int) throws { contents = Lock(Contents(values: try FloatBuffer(count: count))) }
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
  /// - Throws: `TensorError.outOfMemory`.
  public init(count: Int, stateCount: Int, roundedCount: Int, precision: CheckpointPrecision) throws {
    precondition((0...stateCount).contains(roundedCount), "the rounded floats are some of the state's")
    precondition(precision != .float32, "what is not rounded is not packed")
    self.stateCount = stateCount
    self.roundedCount = roundedCount
    self.precision = precision
    let room = Self.room(stateCount: stateCount, roundedCount: roundedCount)
    slots = try (0..<count).map { _ in try PackedSlot(count: room) }
  }

  public func save(_ state: borrowing TrainingState, slot: Int) {
    // `withLock` runs its body on this thread before it returns, so no other thread sees the pointers and none
    // outlives them. The state is borrowed until then, so nobody changes what is read.
    state.values.span.withUnsafeBufferPointer { floats in
      nonisolated(unsafe) let floats = floats
      let updateCount = state.updateCount
      slots[slot].contents.withLock { contents in
        contents.updateCount = updateCount
        var room = contents.values.mutableSpan
        room.withUnsafeMutableBytes { room in
          guard let from = floats.baseAddress, let to = room.baseAddress else { return }
          switch precision {
          case .bfloat16: ck_pack_bfloat16(from, roundedCount, to)
          case .float16: ck_pack_float16(from, roundedCount, to)
          case .float32: break
          }
          let others = packedCount * MemoryLayout<Float>.stride
          (to + others).copyMemory(from: from + roundedCount, byteCount: room.count - others)
        }
      }
    }
  }

  public func load(slot: Int, into state: inout TrainingState) {
    // As in `save`, the pointers stay on this thread and end with the lock; `inout` gives this call exclusive access
    // to the state.
    var floats = state.values.mutableSpan
    state.updateCount = floats.withUnsafeMutableBufferPointer { floats in
      nonisolated(unsafe) let floats = floats
      return slots[slot].contents.withLock { contents in
        contents.values.span.withUnsafeBytes { room in
          guard let from = room.baseAddress, let to = floats.baseAddress else { return }
          switch precision {
          case .bfloat16: ck_unpack_bfloat16(from, roundedCount, to)
          case .float16: ck_unpack_float16(from, roundedCount, to)
          case .float32: break
          }
          let others = packedCount * MemoryLayout<Float>.stride
          UnsafeMutableRawPointer(to + roundedCount).copyMemory(from: from + others, byteCount: room.count - others)
        }
        return contents.updateCount
      }
    }
  }

  public func release(slot: Int) {}
}
