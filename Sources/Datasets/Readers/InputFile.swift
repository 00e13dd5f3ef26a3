import Foundation
import Tensors

/// A regular file that is read once from its first byte to its last. If its first two bytes are those of gzip (RFC
/// 1952, with one or several members), it is decompressed while it is read, and checksums are verified.
///
/// Only regular files are opened: a pipe or a device could make the process wait or never end. A gzip file may expand
/// to `freeExpansion` bytes, or to `highestRatio` times its size if that is more, so that memory use stays in
/// proportion to the file.
package struct InputFile: ~Copyable {
  package let path: String

  /// The largest number of bytes that can be read: the size of a plain file, or for gzip the size that deflate's
  /// highest ratio of 1032 : 1 allows (https://zlib.net/zlib_tech.html).
  let capacity: Int

  /// Whether the content is decompressed while it is read.
  var isCompressed: Bool { gzip != nil }

  /// The number of decompressed bytes read so far.
  private(set) var position = 0

  /// The size in bytes to which every gzip file may expand.
  static let freeExpansion = 64 << 20
  /// Larger gzip files may expand to this many times their own size. That is 20 times more than data worth training
  /// on do.
  static let highestRatio = 100

  private let descriptor: Int32
  private var gzip: GzipStream?
  /// The largest number of bytes that may be read from a gzip file.
  private let limit: Int

  /// - Throws: `DatasetError.missing` if the file does not exist, can't be read, or is not a regular file.
  package init(path: String) throws(DatasetError) {
    let (descriptor, size) = try Self.openRegular(path)
    var start: [UInt8] = [0, 0]
    let isGzip = pread(descriptor, &start, 2, 0) == 2 && start == [0x1F, 0x8B]
    let (most, overflow) = size.multipliedReportingOverflow(by: isGzip ? 1032 : 1)
    self.path = path
    self.descriptor = descriptor
    gzip = isGzip ? GzipStream() : nil
    capacity = overflow ? .max : most
    limit = isGzip && !overflow ? max(Self.freeExpansion, size * Self.highestRatio) : .max
  }

  /// Opens a file for reading, whose descriptor is then the caller's.
  static func openRegular(_ path: String) throws(DatasetError) -> (descriptor: Int32, size: Int) {
    // Without O_NONBLOCK, opening a pipe would wait for a writer.
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else {
      let reason = errno == ENOENT ? "there is no such file" : String(cString: strerror(errno))
      throw .missing(path: path, reason: reason, remedy: "Check its path and permissions.")
    }
    var status = stat()
    let failure: DatasetError? =
      if fstat(descriptor, &status) != 0 {
        unreadable(path)
      } else {
        switch status.st_mode & S_IFMT {
        case S_IFREG: nil
        case S_IFDIR: .missing(path: path, reason: "is a folder, not a file", remedy: "Name a file in it.")
        default: .missing(path: path, reason: "is not a regular file", remedy: "Copy its content to a file on disk.")
        }
      }
    guard let failure else { return (descriptor, Int(status.st_size)) }
    close(descriptor)
    throw failure
  }

  deinit { close(descriptor) }

  /// Checks that `count` more bytes can follow in a file of this size, before memory is allocated for them.
  /// - Parameter content: A description of the bytes, for the error.
  func require(_ count: Int, for content: String) throws(DatasetError) {
    guard count <= capacity - position else {
      throw damaged("ends within \(content): it needs \(count) bytes and can't hold more than \(capacity - position)")
    }
    guard count <= limit - position else { throw expandsTooFar }
  }

  /// Reads the next `count` bytes, which the file's own header announces for `content`.
  mutating func read(_ count: Int, for content: String) throws(DatasetError) -> [UInt8] {
    try require(count, for: content)
    try requireMemory(count, for: content)
    let bytes = try read(upTo: count)
    guard bytes.count == count else {
      throw damaged("ends within \(content): it needs \(count) bytes, \(bytes.count) are there")
    }
    return bytes
  }

  /// Reads the next `count` bytes, which the file's own header announces for `content` and which are the last. More of
  /// them than there is room for are not read into memory: they stay in the file, or are decompressed into a temporary
  /// one.
  /// - Parameter room: The largest size in bytes that stays in memory. It is reduced by what does, and 0 after what does
  ///   not.
  mutating func readRest(_ count: Int, for content: String, room: inout Int) throws(DatasetError) -> FileBytes {
    if count <= room {
      let bytes = try read(count, for: content)
      try finish()
      room -= count
      return .memory(bytes)
    }
    room = 0
    try require(count, for: content)
    guard isCompressed else {
      let start = position
      guard capacity == start + count else { throw moreFollows(at: start + count) }
      let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
      guard copy >= 0 else { throw Self.unreadable(path) }
      return .file(try StoredFile(path: path, descriptor: copy), offset: start)
    }
    var decoded = try TemporaryFile()
    while decoded.size < count {
      let bytes = try read(upTo: min(1 << 20, count - decoded.size))
      if bytes.isEmpty { throw damaged("ends within \(content): it needs \(count) bytes, \(decoded.size) are there") }
      try decoded.append(bytes)
    }
    try finish()
    return .file(try decoded.stored(as: path), offset: 0)
  }

  /// Checks that there is memory for the bytes to be read next.
  func requireMemory(_ bytes: Int, for content: String) throws(DatasetError) {
    guard SystemMemory.has(bytes) else {
      throw .impossible("\(path): \(content) takes \(bytes) bytes of memory\(SystemMemory.note)")
    }
  }

  /// Checks that there is memory for `array` to grow before `count` elements are appended.
  func requireMemory<Element>(toAppend count: Int, to array: borrowing [Element]) throws(DatasetError) {
    guard array.count + count > array.capacity else { return }
    // The array grows to twice its size, and its content is copied.
    try requireMemory(max(array.count + count, 2 * array.capacity) * MemoryLayout<Element>.stride, for: "what it holds")
  }

  /// Reads a whole file of a kind that people write by hand.
  /// - Parameter limit: The largest decompressed size in bytes.
  /// - Throws: `DatasetError.impossible` if the file exceeds the limit.
  package static func read(_ path: String, limit: Int, remedy: String) throws(DatasetError) -> [UInt8] {
    var file = try InputFile(path: path)
    let bytes = try file.read(upTo: min(limit + 1, max(file.capacity, 1)))
    guard bytes.count <= limit else {
      throw .impossible("\(path) holds more than the \(limit) bytes that such a file may have. \(remedy)")
    }
    try file.finish()
    return bytes
  }

  /// Checks that nothing follows what was read, and the checksum of gzip, which comes last.
  mutating func finish() throws(DatasetError) {
    let end = position
    guard try read(upTo: 1).isEmpty else { throw moreFollows(at: end) }
  }

  private func moreFollows(at end: Int) -> DatasetError {
    .damaged(path: path, place: .byte(end), reason: "more bytes follow than the header tells of", remedy: Self.remedy)
  }

  /// Reads the next `count` bytes, or as many as are left.
  mutating func read(upTo count: Int) throws(DatasetError) -> [UInt8] {
    guard let stream = gzip.take() else {
      let bytes = try readFile(upTo: count)
      position += bytes.count
      return bytes
    }
    var decompressing = stream
    var bytes = [UInt8](repeating: 0, count: count)
    let filled: Int
    do throws(DatasetError) {
      filled = try bytes.withUnsafeMutableBufferPointer { buffer throws(DatasetError) in
        try decompressing.fill(
          buffer, read: { count throws(DatasetError) in try readFile(upTo: count) }, damaged: { damaged($0.reason) })
      }
    } catch {
      gzip = consume decompressing
      throw error
    }
    gzip = consume decompressing
    position += filled
    guard position <= limit else { throw expandsTooFar }
    bytes.removeLast(count - filled)
    return bytes
  }

  /// Reads the next `count` bytes of the file without decompressing them, or as many as are left.
  private func readFile(upTo count: Int) throws(DatasetError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      let got = bytes.withUnsafeMutableBytes { buffer in
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
        return Foundation.read(descriptor, rest.baseAddress, rest.count)
      }
      if got == 0 { break }
      if got > 0 { filled += got } else if errno != EINTR { throw Self.unreadable(path) }
    }
    bytes.removeLast(count - filled)
    return bytes
  }

  private static func unreadable(_ path: String) -> DatasetError {
    .missing(path: path, reason: "can't be read: \(String(cString: strerror(errno)))", remedy: "Check the disk.")
  }

  private var expandsTooFar: DatasetError {
    .impossible(
      """
      \(path) expands to more than \(limit) bytes: a gzip file may expand to \(Self.freeExpansion >> 20) MiB, or to \
      \(Self.highestRatio) times its size; if it is to be trusted, decompress it with gunzip and name what that gives
      """)
  }

  private func damaged(_ reason: String) -> DatasetError {
    .damaged(path: path, place: .byte(position), reason: reason, remedy: Self.remedy)
  }

  private static let remedy = "Fetch or make the file again."
}

/// Bytes of a file, in memory or left in a file from byte `offset` on.
enum FileBytes: Sendable {
  case memory([UInt8])
  case file(StoredFile, offset: Int)
}

/// The bytes of a file one at a time, without holding them all in memory.
struct ByteStream: ~Copyable {
  private(set) var file: InputFile
  private var chunk: [UInt8] = []
  private var place = 0

  private static let chunkSize = 1 << 18

  init(path: String) throws(DatasetError) { file = try InputFile(path: path) }

  /// The next byte without consuming it; nil at the end of the file.
  @inline(__always)
  mutating func peek() throws(DatasetError) -> UInt8? {
    if place < chunk.count { return chunk[place] }
    chunk = try file.read(upTo: Self.chunkSize)
    place = 0
    return chunk.first
  }

  /// Consumes the byte returned by `peek`.
  @inline(__always)
  mutating func advance() { place += 1 }

  /// Skips `bytes` if they come next. Call this only at the beginning of the file.
  mutating func skip(prefix bytes: [UInt8]) throws(DatasetError) {
    if try peek() != nil, chunk.starts(with: bytes) { place += bytes.count }
  }
}
