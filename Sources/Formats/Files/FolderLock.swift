import Foundation

/// Marks a folder as in use as long as the lock lives. One process at a time holds the lock of a folder. The system
/// releases it when the process ends, however it ends.
///
/// It is a class, so that its descriptor is closed exactly once, with the last reference, even if taking the lock
/// fails halfway.
package final class FolderLock: Sendable {
  package enum Failure: Error, Equatable {
    /// Another process holds the lock.
    case held
    /// The file or folder to lock does not exist, or was removed meanwhile.
    case missing
    /// A system call failed for this reason.
    case failed(reason: String)
  }

  /// What to do if another process holds the lock.
  package enum Patience: Sendable {
    case none
    /// Try for a fifth of a second. A process that was just started by the holder of the lock also holds it for a
    /// moment, until it runs its own program.
    case short
    /// Wait until the other process releases the lock.
    case endless
  }

  private let descriptor: Int32

  private init(descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// Locks the folder itself.
  /// - Throws: `Failure.missing` also if another folder has taken its place.
  package static func ofFolder(_ path: String, patience: Patience) throws(Failure) -> FolderLock {
    let lock = try open(path, O_RDONLY | O_DIRECTORY)
    try lock.take(patience)
    var status = stat()
    var named = stat()
    guard fstat(lock.descriptor, &status) == 0, lstat(path, &named) == 0, named.st_ino == status.st_ino else { throw .missing }
    return lock
  }

  /// Locks a folder by a file in it, which is made if it is missing. Locking needs no write access: a process that
  /// can't write the file can still see that another holds the lock.
  /// - Throws: `Failure.missing` if there is no such file and the folder is not writable.
  package static func byFile(_ path: String, patience: Patience) throws(Failure) -> FolderLock {
    let lock = try openOrMake(path)
    try lock.take(patience)
    return lock
  }

  private static func openOrMake(_ path: String) throws(Failure) -> FolderLock {
    let descriptor = Foundation.open(path, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW, 0o666)
    if descriptor >= 0 { return FolderLock(descriptor: descriptor) }
    guard errno == EACCES || errno == EROFS else { throw systemFailure(errno) }
    return try open(path, O_RDONLY | O_NONBLOCK)
  }

  private static func open(_ path: String, _ flags: Int32) throws(Failure) -> FolderLock {
    let descriptor = Foundation.open(path, flags | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { throw errno == ENOENT ? .missing : systemFailure(errno) }
    return FolderLock(descriptor: descriptor)
  }

  private func take(_ patience: Patience) throws(Failure) {
    var attempts = 0
    let flags = patience == .endless ? LOCK_EX : LOCK_EX | LOCK_NB
    while flock(descriptor, flags) != 0 {
      switch errno {
      case EINTR: continue
      case EWOULDBLOCK where patience == .short && attempts < 20:
        attempts += 1
        usleep(10_000)
      case EWOULDBLOCK: throw .held
      case let code: throw Self.systemFailure(code)
      }
    }
  }

  private static func systemFailure(_ code: Int32) -> Failure { .failed(reason: String(cString: strerror(code))) }

  /// Does nothing. A call at the end of the guarded code keeps the lock alive until then.
  package func hold() {}
}
