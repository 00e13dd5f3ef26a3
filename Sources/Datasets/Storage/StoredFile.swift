import Foundation

/// A regular file that is read at any offset for as long as its data set is in use.
///
/// It is read with `pread` and never mapped: the pages of a mapping count as resident until they are given back, and a
/// mapped file that shrinks ends the process. A file that changes after it was opened gives an error.
final class StoredFile: Sendable {
  let path: String
  /// The size in bytes when the file was opened.
  let size: Int
  private let descriptor: Int32
  /// The time of the last change when the file was opened; nil for a temporary file, which no other process can open.
  private let changed: timespec?

  /// Takes over an open descriptor.
  /// - Parameter isTemporary: Whether the file has no name, so that no other process can change it.
  init(path: String, descriptor: Int32, isTemporary: Bool = false) throws(DatasetError) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let failure = Self.failure(path)
      close(descriptor)
      throw failure
    }
    self.path = path
    self.descriptor = descriptor
    size = Int(status.st_size)
    changed = isTemporary ? nil : status.lastChange
  }

  /// - Throws: `DatasetError.missing` if the file does not exist, can't be read, or is not a regular file.
  convenience init(path: String) throws(DatasetError) {
    try self.init(path: path, descriptor: InputFile.openRegular(path).descriptor)
  }

  deinit { close(descriptor) }

  /// Overwrites the first `count` of `elements` with those from byte `offset` of the file on, in the byte order of the
  /// machine.
  /// - Throws: `DatasetError.failed` if the file has become shorter, or can't be read.
  func read<Element: BitwiseCopyable>(_ count: Int, into elements: inout [Element], at offset: Int) throws(DatasetError) {
    try elements.withUnsafeMutableBufferPointer { elements throws(DatasetError) in
      let buffer = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: elements[..<count]))
      var filled = 0
      while filled < buffer.count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
        let got = pread(descriptor, rest.baseAddress, rest.count, off_t(offset + filled))
        if got == 0 { throw hasChanged("it ends at byte \(offset + filled), where it had \(size) bytes") }
        if got > 0 { filled += got } else if errno != EINTR { throw Self.failure(path) }
      }
    }
  }

  /// Reads `count` elements from byte `offset` of the file on.
  func read<Element: BitwiseCopyable & ExpressibleByIntegerLiteral>(
    _ count: Int, at offset: Int
  ) throws(DatasetError) -> [Element] {
    var elements = [Element](repeating: 0, count: count)
    try read(count, into: &elements, at: offset)
    return elements
  }

  /// Call this after reading: what was read before a change is then known to be what the file held when it was opened.
  /// - Throws: `DatasetError.failed` if the file's size or the time of its last change is another than when it was
  ///   opened.
  func checkIsUnchanged() throws(DatasetError) {
    guard let changed else { return }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Self.failure(path) }
    guard Int(status.st_size) == size else { throw hasChanged("it has \(status.st_size) bytes, where it had \(size)") }
    guard status.lastChange.tv_sec == changed.tv_sec, status.lastChange.tv_nsec == changed.tv_nsec else {
      throw hasChanged("it was written to")
    }
  }

  /// The error of a file that is no longer what it was when it was opened.
  func hasChanged(_ how: String) -> DatasetError {
    .failed(
      path: path, reason: "the file changed while it was in use: \(how)",
      remedy: "Bring it back as it was, and leave it alone until the run is done.")
  }

  private static func failure(_ path: String) -> DatasetError {
    .failed(path: path, reason: "can't be read: \(String(cString: strerror(errno)))", remedy: "Check the disk.")
  }
}

extension stat {
  fileprivate var lastChange: timespec {
    #if canImport(Darwin)
      st_mtimespec
    #else
      st_mtim
    #endif
  }
}

/// A file without a name in the system's temporary folder, or where TMPDIR says. It is gone when nothing has it open,
/// however the process ends.
struct TemporaryFile: ~Copyable {
  private let folder: String
  private let descriptor: Int32
  private(set) var size = 0

  /// - Throws: `DatasetError.failed` if the file can't be made.
  init() throws(DatasetError) {
    folder = NSTemporaryDirectory()
    let path = "\(folder)/backtrail-\(UUID().uuidString)"
    descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.failure(folder) }
    unlink(path)
  }

  deinit { close(descriptor) }

  /// Writes elements behind what was written before, in the byte order of the machine.
  mutating func append<Element: BitwiseCopyable>(_ elements: [Element]) throws(DatasetError) {
    let end = try elements.withUnsafeBufferPointer { [folder, descriptor, size] elements throws(DatasetError) in
      let buffer = UnsafeRawBufferPointer(elements)
      var written = 0
      while written < buffer.count {
        let rest = UnsafeRawBufferPointer(rebasing: buffer[written...])
        let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(size + written))
        if count >= 0 { written += count } else if errno != EINTR { throw Self.failure(folder) }
      }
      return size + written
    }
    size = end
  }

  /// The file, for reading.
  /// - Parameter path: The file whose content it holds, for messages.
  func stored(as path: String) throws(DatasetError) -> StoredFile {
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { throw Self.failure(folder) }
    return try StoredFile(path: path, descriptor: copy, isTemporary: true)
  }

  private static func failure(_ folder: String) -> DatasetError {
    .failed(
      path: folder, reason: "can't hold the decoded data: \(String(cString: strerror(errno)))",
      remedy: "Make room there, or name another folder in the environment variable TMPDIR.")
  }
}
