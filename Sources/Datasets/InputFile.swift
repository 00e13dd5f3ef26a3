import CZlib
import Foundation

/// A file read once from its first byte to its last, decompressed on the way where it is gzip (RFC 1952, also of several
/// members), as its first two bytes tell. Checksums are verified.
struct InputFile: ~Copyable {
  let path: String

  /// The most bytes that can be read in all: the size of a plain file; for gzip the size that deflate's highest ratio,
  /// 1032 : 1, allows (https://zlib.net/zlib_tech.html); nil for a pipe, whose size nobody knows.
  let capacity: Int?

  /// Bytes read so far, decompressed.
  private(set) var position = 0

  private let file: gzFile

  /// - Throws: `DatasetError.missing` when there is no such file or it can't be read.
  init(path: String) throws(DatasetError) {
    var status = stat()
    let isThere = stat(path, &status) == 0
    let kind = status.st_mode & S_IFMT
    guard kind != S_IFDIR else {
      throw .missing(path: path, reason: "is a folder, not a file", remedy: "Name a file in it.")
    }
    guard isThere, let file = gzopen(path, "rb") else {
      let reason = errno == ENOENT ? "there is no such file" : String(cString: strerror(errno))
      throw .missing(path: path, reason: reason, remedy: "Check its path and permissions.")
    }
    gzbuffer(file, 1 << 18)
    self.path = path
    self.file = file
    if kind == S_IFREG {
      let size = Int(status.st_size)
      let (most, overflow) = size.multipliedReportingOverflow(by: gzdirect(file) == 0 ? 1032 : 1)
      capacity = overflow ? .max : most
    } else {
      capacity = nil
    }
  }

  deinit { gzclose(file) }

  /// Checks that a file of this size can still hold `count` bytes, before memory is taken for them.
  /// - Parameter content: what the bytes are, for the error.
  func require(_ count: Int, for content: String) throws(DatasetError) {
    guard let capacity else {
      throw damaged("is not a regular file", remedy: "Copy it to disk first.")
    }
    guard count <= capacity - position else {
      throw damaged("ends within \(content): it needs \(count) bytes and can't hold more than \(capacity - position)")
    }
  }

  /// The next `count` bytes, which the file's own header promised for `content`.
  mutating func read(_ count: Int, for content: String) throws(DatasetError) -> [UInt8] {
    try require(count, for: content)
    let bytes = try read(upTo: count)
    guard bytes.count == count else {
      throw damaged("ends within \(content): it needs \(count) bytes, \(bytes.count) are there")
    }
    return bytes
  }

  /// All bytes that are left.
  mutating func readAll() throws(DatasetError) -> [UInt8] {
    let chunk = 1 << 20
    var all: [UInt8] = []
    while true {
      let bytes = try read(upTo: chunk)
      all += bytes
      if bytes.count < chunk { return all }
    }
  }

  /// Checks that nothing follows what was read, and the checksum of gzip, which comes last.
  mutating func finish() throws(DatasetError) {
    let end = position
    guard try read(upTo: 1).isEmpty else {
      throw .damaged(
        path: path, place: .byte(end), reason: "more bytes follow than the header tells of", remedy: Self.remedy)
    }
  }

  /// The next `count` bytes, or as many as are left.
  private mutating func read(upTo count: Int) throws(DatasetError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    // gzread counts in Int32.
    let most = 1 << 30
    var filled = 0
    while filled < count {
      let wanted = min(count - filled, most)
      let got = bytes.withUnsafeMutableBytes { buffer in
        Int(gzread(file, buffer.baseAddress.map { $0 + filled }, UInt32(wanted)))
      }
      filled += max(got, 0)
      if got < wanted { break }
    }
    position += filled
    if filled < count {
      try checkStream()
      bytes.removeLast(count - filled)
    }
    return bytes
  }

  /// Tells the end of the file from a stream that broke off.
  private func checkStream() throws(DatasetError) {
    var code: Int32 = 0
    let message = gzerror(file, &code).map { String(cString: $0) } ?? ""
    switch code {
    case Z_OK, Z_STREAM_END: return
    case Z_BUF_ERROR: throw damaged("the gzip stream is truncated")
    case Z_ERRNO:
      throw .missing(
        path: path, reason: "can't be read: \(String(cString: strerror(errno)))", remedy: "Check the disk.")
    default: throw damaged("the gzip stream is corrupt (\(message))")
    }
  }

  private func damaged(_ reason: String, remedy: String = Self.remedy) -> DatasetError {
    .damaged(path: path, place: .byte(position), reason: reason, remedy: remedy)
  }

  private static let remedy = "Fetch or make the file again."
}

/// Decompresses one gzip member that holds exactly `count` bytes.
func decompressed(_ gzip: [UInt8], count: Int) throws(DatasetError) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: count)
  var source = gzip
  var stream = z_stream()
  // 15: the largest window; 16 more: a gzip header and checksum are expected.
  var status = inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
  if status == Z_OK {
    source.withUnsafeMutableBufferPointer { input in
      bytes.withUnsafeMutableBufferPointer { output in
        stream.next_in = input.baseAddress
        stream.avail_in = UInt32(input.count)
        stream.next_out = output.baseAddress
        stream.avail_out = UInt32(output.count)
        status = inflate(&stream, Z_FINISH)
      }
    }
    inflateEnd(&stream)
  }
  guard status == Z_STREAM_END, stream.avail_out == 0 else {
    throw .damaged(
      path: "built-in data", reason: "does not decompress (zlib status \(status))", remedy: "Build the package again.")
  }
  return bytes
}
