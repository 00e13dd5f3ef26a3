import Foundation

/// A folder that is in use for as long as this lives: one process at a time holds its lock. The system lets go of it when the
/// process ends, however it ends.
///
/// A class, so that its descriptor is closed once, when the last reference goes, also where taking the lock fails half way.
package final class FolderLock: Sendable {
  package enum Failure: Error, Equatable {
    /// Another process holds the lock.
    case held
    /// There is nothing to lock, or it has been removed in the meantime.
    case missing
    /// What the system said.
    case failed(reason: String)
  }

  /// What to do where another process holds the lock.
  package enum Patience: Sendable {
    case none
    /// To try for a fifth of a second. A process that was just started by the one that held the lock holds it for a moment too,
    /// until it runs its own program.
    case short
    /// To wait until the other lets go.
    case endless
  }

  private let descriptor: Int32

  private init(descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// Locks a folder itself.
  /// - Throws: `Failure.missing` also where another folder has come into its place.
  package static func ofFolder(_ path: String, patience: Patience) throws(Failure) -> FolderLock {
    let lock = try open(path, O_RDONLY | O_DIRECTORY)
    try lock.take(patience)
    var status = stat()
    var named = stat()
    guard fstat(lock.descriptor, &status) == 0, lstat(path, &named) == 0, named.st_ino == status.st_ino else { throw .missing }
    return lock
  }

  /// Locks a folder by a file in it, which is made where it is missing. A lock needs no writing: who can't write the file may
  /// still see that another holds it.
  /// - Throws: `Failure.missing` where there is no such file and the folder is one that can't be written.
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

  /// Does nothing: said at the end of what the lock guards, it keeps the lock until then.
  package func hold() {}
}
