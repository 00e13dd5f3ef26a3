import Formats

/// A lock that lets only one process at a time change a run.
public struct RunLock: ~Copyable {
  /// Nil in a folder that is not writable, where no process can change anything.
  private let lock: FolderLock?

  /// - Throws: `RunFolderError.inUse` if another process holds the lock, and `StorageError.failed`.
  public init(_ folder: RunFolder) throws {
    let path = folder.path + "/lock"
    do throws(FolderLock.Failure) {
      lock = try .byFile(path, patience: .short)
    } catch {
      switch error {
      case .missing: lock = nil
      case .held: throw RunFolderError.inUse(path: folder.path)
      case .failed(let reason): throw StorageError.failed(path: path, reason: reason)
      }
    }
  }

  /// Does nothing. A call at the end of the guarded code keeps the lock alive until then.
  public func hold() { lock?.hold() }
}
