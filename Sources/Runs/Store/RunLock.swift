import Formats
import Foundation
import Replay
import Tensors

/// Makes one process the only one to change a run. The system lets go of it when the process ends, however it ends.
public struct RunLock: ~Copyable {
  /// Nil in a folder that can't be written, where nobody can change anything.
  private let descriptor: Int32?

  /// - Throws: `RunFolderError.inUse` where another process holds it; `StorageError.failed`.
  public init(_ folder: RunFolder) throws {
    let path = folder.path + "/lock"
    var opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o666)
    if opened < 0, errno == EACCES || errno == EROFS {
      // A lock needs no writing, and who can't write it may still see that another holds it.
      opened = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
      if opened < 0, errno == ENOENT {
        descriptor = nil
        return
      }
    }
    guard opened >= 0 else { throw StorageError.failed(path: path, reason: String(cString: strerror(errno))) }
    // A process that was just started by the one that held it may hold it for a moment too, until it runs its own program.
    var attempts = 0
    while flock(opened, LOCK_EX | LOCK_NB) != 0 {
      attempts += 1
      guard errno != EWOULDBLOCK || attempts > 20 else {
        usleep(10_000)
        continue
      }
      let code = errno
      close(opened)
      if code == EWOULDBLOCK { throw RunFolderError.inUse(path: folder.path) }
      throw StorageError.failed(path: path, reason: String(cString: strerror(code)))
    }
    descriptor = opened
  }

  /// Does nothing: said at the end of what the lock guards, it keeps the lock until then.
  public func hold() {}

  deinit { if let descriptor { close(descriptor) } }
}
