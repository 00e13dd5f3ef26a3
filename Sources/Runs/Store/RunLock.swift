import Formats

/// Makes one process the only one to change a run.
public struct RunLock: ~Copyable {
  /// Nil in a folder that can't be written, where nobody can change anything.
  private let lock: FolderLock?

  /// - Throws: `RunFolderError.inUse` where another process holds it; `StorageError.failed`.
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

  /// Does nothing: said at the end of what the lock guards, it keeps the lock until then.
  public func hold() { lock?.hold() }
}
