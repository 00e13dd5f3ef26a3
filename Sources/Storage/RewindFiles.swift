import Foundation
import Replay

/// A rewind's disk slots: checkpoint files in a folder of their own, which goes when the rewind ends.
public struct RewindFiles: RewindStorage {
  private let path: String

  /// - Throws: `StorageError.cannotCreate`.
  public init(_ folder: RunFolder) throws(StorageError) {
    path = "\(folder.path)/rewind-\(UUID().uuidString)"
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
