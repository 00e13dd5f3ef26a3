import Foundation

/// A regular file that is read and written at explicit offsets, so that threads can share it. Every error names the
/// file.
package final class PositionedFile: Sendable {
  package let path: String
  private let descriptor: Int32

  /// Opens a file for reading only.
  /// - Throws: `StorageError.damaged` if it is missing or is not a regular file; `.failed` if it is inaccessible.
  package static func open(_ path: String) throws(StorageError) -> PositionedFile {
    do {
      return try PositionedFile(path, flags: O_RDONLY)
    } catch {
      throw error.damage.map { .damaged(path: path, reason: $0) } ?? error.storageError(path: path)
    }
  }

  /// Opens a file for reading and writing. Only one process at a time can do so.
  package static func openForWriting(_ path: String) throws(StorageError) -> PositionedFile {
    let file: PositionedFile
    do { file = try PositionedFile(path, flags: O_RDWR) } catch { throw error.storageError(path: path) }
    try file.lock()
    return file
  }

  /// Makes an empty file for writing.
  /// - Throws: `StorageError.exists` if there is something at `path`, `.cannotCreate` if the file can't be made.
  package static func create(_ path: String) throws(StorageError) -> PositionedFile {
    let file: PositionedFile
    do {
      file = try PositionedFile(path, flags: O_RDWR | O_CREAT | O_EXCL)
    } catch {
      throw error.code == EEXIST ? .exists(path: path) : .notMade(path: path, code: error.code)
    }
    try file.lock()
    return file
  }

  /// Opens a file named by a user for reading only, following links.
  convenience init(input path: String) throws(SystemFailure) { try self.init(path, flags: O_RDONLY, linkFlag: 0) }

  /// Opens only a regular file and, unless told otherwise, no link: the other end of a pipe may never appear, and a
  /// link may lead out of the run's folder.
  private init(_ path: String, flags: Int32, linkFlag: Int32 = O_NOFOLLOW) throws(SystemFailure) {
    let descriptor = Foundation.open(path, flags | linkFlag | O_CLOEXEC | O_NONBLOCK, 0o666)
    guard descriptor >= 0 else { throw SystemFailure(code: errno) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw SystemFailure(code: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : 0, text: "it is not a regular file")
    }
    self.path = path
    self.descriptor = descriptor
  }

  /// - Throws: `StorageError.failed` if `path` exists and is a link or not a regular file.
  package static func checkIsRegular(_ path: String) throws(StorageError) {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { return }
    throw .failed(path: path, reason: "it is not a regular file")
  }

  deinit { close(descriptor) }

  /// The size in bytes.
  package func size() throws(StorageError) -> Int {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure() }
    return Int(status.st_size)
  }

  /// Reads `count` bytes from `offset` on, or as many as the file has.
  package func read(upTo count: Int, at offset: Int) throws(StorageError) -> [UInt8] {
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

  /// Fills `buffer` with the bytes from `offset` on.
  /// - Throws: `StorageError.damaged` if the file is too short.
  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageError) {
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let got = pread(descriptor, rest.baseAddress, rest.count, off_t(offset + filled))
      if got == 0 { throw .damaged(path: path, reason: "it ended while it was read") }
      if got > 0 { filled += got } else if errno != EINTR { throw failure() }
    }
  }

  /// Reads `count` bytes from `offset` on.
  /// - Throws: `StorageError.damaged` if the file is too short.
  package func read(count: Int, at offset: Int) throws(StorageError) -> [UInt8] {
    let bytes = try read(upTo: count, at: offset)
    guard bytes.count == count else { throw .damaged(path: path, reason: "it ended while it was read") }
    return bytes
  }

  /// Writes bytes at `offset`, replacing what is there and extending the file if necessary.
  package func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
    try bytes.withUnsafeBufferPointer { buffer throws(StorageError) in
      try write(UnsafeRawBufferPointer(buffer), at: offset)
    }
  }

  package func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
    var written = 0
    while written < buffer.count {
      let rest = UnsafeRawBufferPointer(rebasing: buffer[written...])
      let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + written))
      if count >= 0 { written += count } else if errno != EINTR { throw failure() }
    }
  }

  /// Writes a file that exists completely or not at all, even after a power cut: `body` fills a new file in the same
  /// folder, which is synced and renamed to `path`. Until then, what was at `path` stays there.
  ///
  /// A process killed meanwhile leaves an `UnfinishedFile`, which nothing reads.
  /// - Parameter isSynced: If false, the file is complete for this and other processes, but may not be after a power
  ///   cut.
  package static func replace<Result>(
    _ path: String, isSynced: Bool = true, body: (PositionedFile) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    let temporary = UnfinishedFile.name(for: path)
    do {
      let file = try create(temporary)
      let result = try body(file)
      if isSynced { try file.sync() }
      try rename(temporary, to: path, isSynced: isSynced)
      return result
    } catch {
      // The temporary file may not exist, but the error that stopped the writing is the one to report.
      unlink(temporary)
      throw error
    }
  }

  /// Renames a file, replacing an existing one, so that the new name survives a power cut.
  package static func rename(_ old: String, to path: String, isSynced: Bool = true) throws(StorageError) {
    guard Foundation.rename(old, path) == 0 else { throw SystemFailure(code: errno).storageError(path: path) }
    guard isSynced else { return }
    try syncFolder(of: path)
  }

  package func truncate(to size: Int) throws(StorageError) {
    while ftruncate(descriptor, off_t(size)) != 0 {
      if errno != EINTR { throw failure() }
    }
  }

  /// Returns once everything written is on the disk itself and survives a power cut.
  package func sync() throws(StorageError) {
    #if canImport(Darwin)
      // Darwin's fsync leaves the data in the drive's cache.
      let status = fcntl(descriptor, F_FULLFSYNC)
    #else
      let status = fsync(descriptor)
    #endif
    guard status == 0 else { throw failure() }
  }

  /// Returns once the file's name is on disk. A new file needs this besides `sync`.
  package func syncFolder() throws(StorageError) { try Self.syncFolder(of: path) }

  /// Returns once the name of the file at `path` is on disk.
  package static func syncFolder(of path: String) throws(StorageError) {
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    let descriptor = Foundation.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemFailure(code: errno).storageError(path: folder) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw SystemFailure(code: errno).storageError(path: folder) }
  }

  private func lock() throws(StorageError) {
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      if errno == EWOULDBLOCK { throw .failed(path: path, reason: "another process is writing to it") }
      throw failure()
    }
  }

  private func failure() -> StorageError { SystemFailure(code: errno).storageError(path: path) }
}
