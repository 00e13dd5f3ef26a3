import Foundation

/// A regular file read and written at explicit offsets, so that threads can share it. Every error names it.
final class PositionedFile: Sendable {
  let path: String
  private let descriptor: Int32

  /// Opens a file for reading alone.
  static func open(_ path: String) throws(StorageError) -> PositionedFile {
    do { return try PositionedFile(path, flags: O_RDONLY) } catch { throw error.storageError(path: path) }
  }

  /// Opens a file for reading and writing. One process at a time can have it so.
  static func openForWriting(_ path: String) throws(StorageError) -> PositionedFile {
    let file: PositionedFile
    do { file = try PositionedFile(path, flags: O_RDWR) } catch { throw error.storageError(path: path) }
    try file.lock()
    return file
  }

  /// Makes an empty file for writing.
  /// - Throws: `StorageError.exists` if there is something at `path`, `.cannotCreate` if it can't be made.
  static func create(_ path: String) throws(StorageError) -> PositionedFile {
    let file: PositionedFile
    do {
      file = try PositionedFile(path, flags: O_RDWR | O_CREAT | O_EXCL)
    } catch {
      throw error.code == EEXIST ? .exists(path: path) : .cannotCreate(path: path, reason: error.reason)
    }
    try file.lock()
    return file
  }

  private init(_ path: String, flags: Int32) throws(SystemFailure) {
    let descriptor = Foundation.open(path, flags | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw SystemFailure(code: errno) }
    self.path = path
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// In bytes.
  func size() throws(StorageError) -> Int {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure() }
    return Int(status.st_size)
  }

  /// The `count` bytes from `offset` on, or as many as the file has.
  func read(upTo count: Int, at offset: Int) throws(StorageError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      let got = bytes.withUnsafeMutableBytes { buffer in
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
        return pread(descriptor, rest.baseAddress, rest.count, off_t(offset + filled))
      }
      if got == 0 { break }
      if got > 0 { filled += got } else if errno != EINTR { throw failure() }
    }
    bytes.removeLast(count - filled)
    return bytes
  }

  /// Writes over what is at `offset`, and beyond the end where need be.
  func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { buffer in
        let rest = UnsafeRawBufferPointer(rebasing: buffer[written...])
        return pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + written))
      }
      if count >= 0 { written += count } else if errno != EINTR { throw failure() }
    }
  }

  func truncate(to size: Int) throws(StorageError) {
    while ftruncate(descriptor, off_t(size)) != 0 {
      if errno != EINTR { throw failure() }
    }
  }

  /// Returns when all that was written is on the disk itself, and survives a power cut.
  func sync() throws(StorageError) {
    #if canImport(Darwin)
      // Darwin's fsync leaves the data in the drive's cache.
      let status = fcntl(descriptor, F_FULLFSYNC)
    #else
      let status = fsync(descriptor)
    #endif
    guard status == 0 else { throw failure() }
  }

  /// Returns when the file's name is on the disk: a new file needs this besides `sync`.
  func syncFolder() throws(StorageError) {
    try Self.open(URL(fileURLWithPath: path).deletingLastPathComponent().path).sync()
  }

  private func lock() throws(StorageError) {
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      if errno == EWOULDBLOCK { throw .failed(path: path, reason: "another process is writing to it") }
      throw failure()
    }
  }

  private func failure() -> StorageError { SystemFailure(code: errno).storageError(path: path) }
}

/// What a system call left in `errno`.
private struct SystemFailure: Error {
  let code: Int32

  var reason: String {
    let text = String(cString: strerror(code))
    return code == ENOSPC || code == EDQUOT ? "\(text): make room on the disk" : text
  }

  func storageError(path: String) -> StorageError { .failed(path: path, reason: reason) }
}
