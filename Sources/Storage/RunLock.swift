import Foundation

/// Makes one process the only one to change a run. The system lets go of it when the process ends, however it ends.
public struct RunLock: ~Copyable {
  private let descriptor: Int32

  /// - Throws: `StorageError.inUse` where another process holds it.
  public init(_ folder: RunFolder) throws(StorageError) {
    let path = folder.path + "/lock"
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .failed(path: path, reason: String(cString: strerror(errno))) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      close(descriptor)
      if code == EWOULDBLOCK { throw .inUse(path: folder.path) }
      throw .failed(path: path, reason: String(cString: strerror(code)))
    }
  }

  /// Does nothing: said at the end of what the lock guards, it keeps the lock until then.
  public func hold() {}

  deinit { close(descriptor) }
}
