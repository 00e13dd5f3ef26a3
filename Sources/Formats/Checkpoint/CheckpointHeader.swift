import Tensors

/// The description of a state in a checkpoint file.
public struct CheckpointHeader: Hashable, Sendable {
  /// The number of updates the state has had.
  public let updateCount: Int
  /// The length of the state, in floats.
  public let stateCount: Int
  /// `Digest(of:updateCount:)` of the state as it will be decoded.
  public let digest: Digest
  /// The digest of the state that must be in the buffer when this one is read; nil for a self-contained state.
  public let parentDigest: Digest?
  /// The sections that make up the state, from first to last.
  public let sections: [CheckpointSection]
  /// The writer's description of the state; empty in files of version 1.
  public let label: String
  /// The size of the file in bytes.
  public let byteCount: Int
}

/// The table of contents at the beginning of a checkpoint file: the header, and the size of each frame.
///
///     offset      size
///     0           8       "BTRLCKPT"
///     8           4       format version, 2
///     12          4       size of this table, H, in bytes
///     16          8       update count
///     24          8       state count, in floats
///     32          16      digest of the state and its update count (XXH3, 128 bits; low word, high word)
///     48          16      digest of the parent, zeros where there is none
///     64          4       1 with a parent, 0 without
///     68          4       number of sections, S
///     72          4       number of frames, F
///     76          12 S    for each section: its length in floats (8), its precision (4):
///                         0 float32, 1 bfloat16, 2 float16
///     76 + 12 S   20 F    for each frame: its size in bytes (4), the digest of these bytes (16)
///     76 + 12 S + 20 F    length of the label in bytes, L (4), and the label in UTF-8 (L); not in version 1
///     H − 16      16      digest of all bytes before
///     H           ...     the frames (`CheckpointFrame`), one after another, to the end of the file
///
/// Integers are unsigned and little-endian. Each frame holds 262,144 floats of one section, and the last frame of a
/// section holds the rest. So the sections determine the number of frames, and a file can be checked without decoding
/// it.
struct CheckpointTable {
  struct Entry {
    let size: Int
    let digest: Digest
  }

  static let magic = Array("BTRLCKPT".utf8)
  static let version: UInt32 = 2
  /// The largest size of a label in bytes.
  static let longestLabel = 1 << 14
  /// The number of bytes to read before H is known.
  static let prefixSize = 16
  private static let fixedSize = 76
  private static let sectionSize = 12
  private static let entrySize = 20
  private static let digestSize = 16

  let header: CheckpointHeader
  let frames: [CheckpointFrame]
  let entries: [Entry]
  /// The size of this table in the file in bytes, which is the offset of the first frame.
  let size: Int

  /// The least size of a table, which is that of a table of version 1.
  private static func size(sections: Int, frames: Int) -> Int {
    fixedSize + sections * sectionSize + frames * entrySize + digestSize
  }

  static var leastSize: Int { size(sections: 0, frames: 0) }

  static func size(sections: Int, frames: Int, label: String) -> Int {
    size(sections: sections, frames: frames) + 4 + label.utf8.count
  }

  // MARK: Writing

  var bytes: [UInt8] {
    var bytes = Self.magic
    bytes.reserveCapacity(size)
    bytes.append(littleEndian: Self.version)
    bytes.append(littleEndian: UInt32(size))
    bytes.append(littleEndian: UInt64(header.updateCount))
    bytes.append(littleEndian: UInt64(header.stateCount))
    bytes.append(header.digest)
    bytes.append(header.parentDigest ?? Digest(high: 0, low: 0))
    bytes.append(littleEndian: header.parentDigest == nil ? 0 : 1 as UInt32)
    bytes.append(littleEndian: UInt32(header.sections.count))
    bytes.append(littleEndian: UInt32(entries.count))
    for section in header.sections {
      bytes.append(littleEndian: UInt64(section.count))
      bytes.append(littleEndian: section.precision.rawValue)
    }
    for entry in entries {
      bytes.append(littleEndian: UInt32(entry.size))
      bytes.append(entry.digest)
    }
    bytes.append(littleEndian: UInt32(header.label.utf8.count))
    bytes += header.label.utf8
    bytes.append(Digest(of: bytes.span.bytes))
    return bytes
  }

  // MARK: Reading

  /// The size of the table that starts with these `prefixSize` bytes.
  static func size(prefix: [UInt8], fileSize: Int, path: String) throws(StorageError) -> Int {
    func damaged(_ reason: String) -> StorageError { .damaged(path: path, reason: reason) }
    var reader = ByteReader(prefix)
    guard reader.bytes(magic.count) == magic[...] else { throw damaged("it does not begin as a checkpoint does") }
    let version = Int(reader.uint32())
    guard (1...Int(Self.version)).contains(version) else {
      throw damaged("its header names the unknown format version \(version)")
    }
    let size = Int(reader.uint32())
    guard size >= leastSize, size <= fileSize else {
      throw damaged("its header can't be \(size) bytes long in a file of \(fileSize)")
    }
    return size
  }

  /// Reads a whole table, with the size found in its prefix.
  init(_ bytes: [UInt8], fileSize: Int, path: String) throws(StorageError) {
    func damaged(_ reason: String) -> StorageError { .damaged(path: path, reason: reason) }
    let end = bytes.count - Self.digestSize
    var trailer = ByteReader(bytes, at: end)
    guard trailer.digest() == Digest(of: bytes.span.extracting(..<end).bytes) else {
      throw damaged("the checksum of its header is wrong")
    }
    var prefix = ByteReader(bytes, at: Self.magic.count)
    let isFirstVersion = prefix.uint32() == 1
    var reader = ByteReader(bytes, at: Self.prefixSize)
    let updateCount = reader.uint64()
    let stateCount = reader.uint64()
    let digest = reader.digest()
    let parentDigest = reader.digest()
    let hasParent = reader.uint32()
    let sectionCount = Int(reader.uint32())
    let frameCount = Int(reader.uint32())
    guard updateCount <= Int.max, hasParent <= 1 else { throw damaged("its header holds impossible numbers") }
    let least = Self.size(sections: sectionCount, frames: frameCount)
    let labelSize = bytes.count - least - 4
    guard isFirstVersion ? least == bytes.count : (0...Self.longestLabel).contains(labelSize) else {
      throw damaged("its header is not as long as \(sectionCount) sections and \(frameCount) frames take")
    }

    var sections: [CheckpointSection] = []
    // No frame is empty, so the number of frames that fit in the table bounds the number of floats.
    let capacity = UInt64(frameCount * CheckpointFrame.length)
    var sum: UInt64 = 0
    for index in 0..<sectionCount {
      let count = reader.uint64()
      guard count <= capacity - sum else { throw damaged("section \(index + 1) is longer than its frames") }
      guard let precision = CheckpointPrecision(rawValue: reader.uint32()) else {
        throw damaged("section \(index + 1) has an unknown precision")
      }
      sum += count
      sections.append(CheckpointSection(count: Int(count), precision: precision))
    }
    guard sum == stateCount else { throw damaged("its sections don't add up to its \(stateCount) floats") }
    frames = CheckpointFrame.frames(of: sections)
    guard frames.count == frameCount else { throw damaged("it needs \(frames.count) frames and has \(frameCount)") }

    entries = frames.map { _ in Entry(size: Int(reader.uint32()), digest: reader.digest()) }
    var label = ""
    if !isFirstVersion {
      guard Int(reader.uint32()) == labelSize, let text = String(validating: reader.bytes(labelSize), as: UTF8.self) else {
        throw damaged("its label can't be read")
      }
      label = text
    }
    let framesSize = fileSize - bytes.count
    let expected = entries.reduce(0) { $0 + $1.size }
    guard expected == framesSize else { throw damaged("its frames take \(expected) bytes and \(framesSize) are there") }
    if let index = entries.firstIndex(where: { $0.size > CheckpointFrame.capacity }) {
      throw damaged("frame \(index + 1) can't take \(entries[index].size) bytes")
    }
    size = bytes.count
    header = CheckpointHeader(
      updateCount: Int(updateCount), stateCount: Int(stateCount), digest: digest,
      parentDigest: hasParent == 1 ? parentDigest : nil, sections: sections, label: label, byteCount: fileSize)
  }

  init(header: CheckpointHeader, frames: [CheckpointFrame], entries: [Entry]) {
    self.header = header
    self.frames = frames
    self.entries = entries
    size = Self.size(sections: header.sections.count, frames: entries.count, label: header.label)
  }
}
