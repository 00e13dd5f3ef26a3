import Foundation
import Replay

/// The disk slots of a replay or a rewind: checkpoint files in a folder of their own, which goes when it ends.
public struct SlotFiles: SlotStorage {
  private let path: String

  /// Slots of the run's training, of which there is one at a time: what an interrupted one left goes.
  /// - Throws: `StorageError.cannotCreate`.
  public static func ofTraining(_ folder: RunFolder) throws(StorageError) -> SlotFiles {
    let slots = SlotFiles(path: "\(folder.path)/slots")
    slots.removeAll()
    try slots.create()
    return slots
  }

  /// Slots of a reader of the run, of whom there may be several.
  /// - Throws: `StorageError.cannotCreate`.
  public static func ofReader(_ folder: RunFolder) throws(StorageError) -> SlotFiles {
    let slots = SlotFiles(path: "\(folder.path)/slots-\(UUID().uuidString)")
    try slots.create()
    return slots
  }

  private init(path: String) {
    self.path = path
  }

  private func create() throws(StorageError) {
    guard mkdir(path, 0o777) == 0 else {
      throw .cannotCreate(path: path, reason: String(cString: strerror(errno)))
    }
  }

  private func file(_ slot: Int) -> String { "\(path)/\(slot).ckpt" }

  public func save(_ state: borrowing TrainingState, slot: Int) throws {
    _ = try CheckpointFile.write(state.values, updateCount: state.updateCount, to: file(slot))
  }

  public func load(slot: Int, into state: inout TrainingState) throws {
    state.updateCount = try CheckpointFile.read(file(slot), into: &state.values).updateCount
  }

  public func release(slot: Int) throws {
    unlink(file(slot))
  }

  public func removeAll() {
    try? FileManager.default.removeItem(atPath: path)
  }
}
