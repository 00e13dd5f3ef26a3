import Foundation

/// A regular file read and written at explicit offsets, so that threads can share it. Every error names it.
final class PositionedFile: Sendable {
  let path: String
  private let descriptor: Int32

  /// Opens a file for reading alone.
  /// - Throws: `StorageError.damaged` where it is missing or something else is in its place; `.failed` where it is out of reach.
  static func open(_ path: String) throws(StorageError) -> PositionedFile {
    do {
      return try PositionedFile(path, flags: O_RDONLY)
    } catch {
      throw error.damage.map { .damaged(path: path, reason: $0) } ?? error.storageError(path: path)
    }
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

  /// What is there is opened only where it is a regular file and no link: the other end of a pipe may never come, and a link
  /// may lead out of the run's folder.
  private init(_ path: String, flags: Int32) throws(SystemFailure) {
    let descriptor = Foundation.open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o666)
    guard descriptor >= 0 else { throw SystemFailure(code: errno) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw SystemFailure(code: 0, text: "it is not a regular file")
    }
    self.path = path
    self.descriptor = descriptor
  }

  /// - Throws: `StorageError.failed` where `path` is there and not a regular file, or a link.
  static func checkIsRegular(_ path: String) throws(StorageError) {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { return }
    throw .failed(path: path, reason: "it is not a regular file")
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

  /// Fills `buffer` with what is at `offset`.
  /// - Throws: `StorageError.damaged` where the file is shorter.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageError) {
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let got = pread(descriptor, rest.baseAddress, rest.count, off_t(offset + filled))
      if got == 0 { throw .damaged(path: path, reason: "it ended while it was read") }
      if got > 0 { filled += got } else if errno != EINTR { throw failure() }
    }
  }

  /// The `count` bytes from `offset` on.
  /// - Throws: `StorageError.damaged` where the file is shorter.
  func read(count: Int, at offset: Int) throws(StorageError) -> [UInt8] {
    let bytes = try read(upTo: count, at: offset)
    guard bytes.count == count else { throw .damaged(path: path, reason: "it ended while it was read") }
    return bytes
  }

  /// Writes over what is at `offset`, and beyond the end where need be.
  func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
    try bytes.withUnsafeBufferPointer { buffer throws(StorageError) in
      try write(UnsafeRawBufferPointer(buffer), at: offset)
    }
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
    var written = 0
    while written < buffer.count {
      let rest = UnsafeRawBufferPointer(rebasing: buffer[written...])
      let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + written))
      if count >= 0 { written += count } else if errno != EINTR { throw failure() }
    }
  }

  /// Writes a file that is there whole or not at all, also after a power cut: `body` fills a new file in the same folder,
  /// which is synced and renamed over `path`. What was at `path` stays there until then.
  ///
  /// A process killed in between leaves an `UnfinishedFile`, which nothing reads.
  /// - Parameter isSynced: without it, the file is whole for this process and those beside it, but not after a power cut.
  static func replace<Result>(
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
      // It may never have come to be: what stopped the writing is the error to tell of.
      unlink(temporary)
      throw error
    }
  }

  /// Gives a file its name, over what may be there, so that the name survives a power cut.
  static func rename(_ old: String, to path: String, isSynced: Bool = true) throws(StorageError) {
    guard Foundation.rename(old, path) == 0 else { throw SystemFailure(code: errno).storageError(path: path) }
    guard isSynced else { return }
    try syncFolder(of: path)
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
  func syncFolder() throws(StorageError) { try Self.syncFolder(of: path) }

  /// Returns when the name of what is at `path` is on the disk.
  static func syncFolder(of path: String) throws(StorageError) {
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

/// What a system call left in `errno`.
private struct SystemFailure: Error {
  let code: Int32
  /// In place of the system's own words.
  var text: String?

  var reason: String {
    if let text { return text }
    // What a link gives where links are not followed says nothing to a reader.
    if code == ELOOP { return "it is a link, which may lead out of the run's folder" }
    let text = String(cString: strerror(code))
    return code == ENOSPC || code == EDQUOT ? "\(text): make room on the disk" : text
  }

  /// Where a file should be that was written once: what is wrong with it; nil where it may be whole, and out of reach.
  var damage: String? {
    switch code {
    case ENOENT: "it is missing"
    case ELOOP: reason
    default: text
    }
  }

  func storageError(path: String) -> StorageError { .failed(path: path, reason: reason) }
}

/// A file that is being written beside the place it will have: `NAME.UUID.partial`.
enum UnfinishedFile {
  private static let ending = ".partial"
  private static let uuidLength = 36

  /// A name that no other file has.
  static func name(for final: String) -> String { "\(final).\(UUID().uuidString)\(ending)" }

  /// The name that a file of this name was to get; nil where it is no name of an unfinished file.
  static func finalName(of name: String) -> String? {
    guard name.hasSuffix(ending) else { return nil }
    let front = name.utf8.dropLast(ending.utf8.count)
    let uuid = front.suffix(uuidLength)
    let rest = front.dropLast(uuidLength)
    guard uuid.count == uuidLength, rest.last == UInt8(ascii: "."), uuid.allSatisfy(isOfUUID) else { return nil }
    return String(rest.dropLast())
  }

  private static func isOfUUID(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: "a")...UInt8(ascii: "f"),
      UInt8(ascii: "-"):
      true
    default: false
    }
  }
}
