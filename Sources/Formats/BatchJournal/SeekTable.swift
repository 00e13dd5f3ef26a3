import Tensors

/// The positions of the frames in a file in zstd's seekable format: its seek table, which is the skippable frame at
/// its end.
///
/// The format (version 0.1.0; `contrib/seekable_format/zstd_seekable_compression_format.md` in zstd's sources) is
/// that of any zstd file, frame after frame, so `zstd -d` reads it. The table contains the position of each frame, so
/// that one can be read without those before it. All numbers are little-endian:
///
///     4 bytes         magic of a skippable frame, 0x184D2A5E
///     4 bytes         bytes that follow: 12 · frames + 9
///     for each frame, in the file's order:
///       4 bytes       its size
///       4 bytes       its content's size, decompressed
///       4 bytes       low 32 bits of the XXH64 (seed 0) of its content: the same four bytes that end the frame
///     4 bytes         number of frames
///     1 byte          descriptor: bit 7, the frames have checksums; bits 6 to 2, reserved, 0; bits 1 and 0, unused
///     4 bytes         magic, 0x8F92EAB1
///
/// In memory each frame takes 24 bytes.
package struct SeekTable: Sendable {
  package struct Frame: Hashable, Sendable {
    /// The offset from the beginning of the file, in bytes.
    package let offset: Int
    fileprivate let size32: UInt32
    fileprivate let contentSize32: UInt32
    let checksum: UInt32

    /// The compressed size in bytes.
    package var size: Int { Int(size32) }

    /// The decompressed size in bytes.
    package var contentSize: Int { Int(contentSize32) }
  }

  package private(set) var frames: [Frame] = []

  /// The offset where the last frame ends and the table begins.
  package var end: Int { frames.last.map { $0.offset + $0.size } ?? 0 }

  init() {}

  /// Adds a frame that follows the others.
  mutating func append(frame: [UInt8], contentSize: Int) {
    append(size: UInt32(frame.count), contentSize: UInt32(contentSize), checksum: ZstdFrame.checksum(frame))
  }

  private mutating func append(size: UInt32, contentSize: UInt32, checksum: UInt32) {
    frames.append(Frame(offset: end, size32: size, contentSize32: contentSize, checksum: checksum))
  }

  /// The content of frame `index`, with verified checksums.
  /// - Throws: `StorageError.damaged`, naming the frame.
  func content(
    ofFrame index: Int, in file: PositionedFile, with decompressor: borrowing ZstdDecompressor
  ) throws(StorageError) -> [UInt8] {
    let frame = frames[index]
    let bytes = try file.read(upTo: frame.size, at: frame.offset)
    guard bytes.count == frame.size else { throw .damaged(path: file.path, reason: "frame \(index) is cut off") }
    guard ZstdFrame.checksum(bytes) == frame.checksum else {
      throw .damaged(path: file.path, reason: "frame \(index) has another checksum than the seek table")
    }
    do {
      return try decompressor.content(of: bytes, count: frame.contentSize)
    } catch {
      throw error.storageError(path: file.path, frame: "frame \(index): ")
    }
  }
}

// MARK: - On disk

extension SeekTable {
  /// The largest number of frames that zstd's own reader of the format accepts.
  static let maximumFrameCount = 0x800_0000

  private static let skippableMagic: UInt32 = 0x184D_2A5E
  private static let seekableMagic: UInt32 = 0x8F92_EAB1
  private static let footerSize = 9
  private static let entrySize = 12
  private static let hasChecksums: UInt8 = 0x80

  /// The bytes of the skippable frame.
  var encoded: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(8 + Self.entrySize * frames.count + Self.footerSize)
    bytes.append(littleEndian: Self.skippableMagic)
    bytes.append(littleEndian: UInt32(Self.entrySize * frames.count + Self.footerSize))
    for frame in frames {
      bytes.append(littleEndian: frame.size32)
      bytes.append(littleEndian: frame.contentSize32)
      bytes.append(littleEndian: frame.checksum)
    }
    bytes.append(littleEndian: UInt32(frames.count))
    bytes.append(Self.hasChecksums)
    bytes.append(littleEndian: Self.seekableMagic)
    return bytes
  }

  /// Reads the table at the end of `file`.
  /// - Throws: `StorageError.damaged` if there is no table, or if its frames do not extend from the beginning of the
  ///   file to the table. Wrong content sizes and checksums are only found by reading the frames.
  init(atEndOf file: PositionedFile) throws(StorageError) {
    let path = file.path
    let fileSize = try file.size()
    let footer = try file.read(upTo: Self.footerSize, at: max(0, fileSize - Self.footerSize))
    guard let (count, descriptor) = Self.contents(ofFooter: footer) else {
      throw .damaged(path: path, reason: "it does not end in a seek table")
    }
    // Bits 1 and 0 have no meaning.
    guard descriptor & ~0b11 == Self.hasChecksums else {
      throw .damaged(path: path, reason: "its seek table is of an unknown kind")
    }
    let size = 8 + Self.entrySize * count + Self.footerSize
    guard size <= fileSize else {
      throw .damaged(path: path, reason: "its seek table counts more frames than it has place for")
    }
    guard count <= Self.maximumFrameCount, SystemMemory.has(size + count * MemoryLayout<Frame>.stride) else {
      throw .failed(path: path, reason: "its seek table of \(count) frames does not fit the memory there is")
    }
    let bytes = try file.read(upTo: size, at: fileSize - size)
    var reader = ByteReader(bytes)
    guard bytes.count == size, reader.uint32() == Self.skippableMagic, Int(reader.uint32()) == size - 8 else {
      throw .damaged(path: path, reason: "its seek table does not begin where it should")
    }
    frames.reserveCapacity(count)
    for _ in 0..<count { append(size: reader.uint32(), contentSize: reader.uint32(), checksum: reader.uint32()) }
    guard end == fileSize - size else {
      throw .damaged(path: path, reason: "its seek table tells of \(end) bytes of frames, where \(fileSize - size) are")
    }
  }
  /// The number of frames in a table, and its descriptor; nil if the bytes are not a footer.
  private static func contents(ofFooter footer: [UInt8]) -> (count: Int, descriptor: UInt8)? {
    guard footer.count == footerSize else { return nil }
    var reader = ByteReader(footer)
    let (count, descriptor) = (Int(reader.uint32()), reader.uint8())
    return reader.uint32() == seekableMagic ? (count, descriptor) : nil
  }
}
