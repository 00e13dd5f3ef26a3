import CXXHash
import Foundation
import Tensors

/// What a checkpoint file says of its state.
public struct CheckpointHeader: Hashable, Sendable {
  public let updateCount: Int
  public let stateCount: Int
  /// Of the state as it is read back.
  public let digest: Digest
  /// The digest of the floats of the state the file holds the difference to; nil for a file that stands alone.
  public let parent: Digest?
  public let fileBytes: Int
}

/// A training state on disk, in frames that are compressed, checked and read independently.
///
/// All numbers are little-endian:
///
///     offset  bytes
///          0      4  "BTCK"
///          4      4  format version, 1
///          8      8  update count
///         16      8  floats in the state
///         24      4  floats in a frame; the last one has the rest
///         28      4  1 if the file is a difference to a parent, else 0
///         32     16  the state's digest, low word first
///         48     16  the parent's digest, or zeros
///         64   16 f  for each of the f frames: its length in bytes, and the XXH3-64 of these bytes
///     64+16f      8  XXH3-64 of all before
///     then the frames (see `CheckpointFrame`), one after the other, to the end of the file.
public enum CheckpointFile {
  /// 256 Ki floats, 1 MiB: small enough for a level-2 cache, large enough that a frame's Huffman table costs nothing.
  static let frameFloats = 1 << 18
  private static let version: UInt32 = 1
  private static let fixedBytes = 64

  /// A state to store the difference to, and the digest of its floats.
  public struct Parent: ~Copyable {
    let state: StateBuffer
    let digest: Digest

    public init(_ state: consuming StateBuffer) {
      digest = Digest(of: state)
      self.state = state
    }
  }

  /// Writes a file that is there whole or not at all: under a temporary name, synced, renamed, its folder synced.
  /// - Parameter level: zstd's, for the predictable part.
  public static func write(
    _ state: borrowing StateBuffer, updateCount: Int, parent: borrowing Parent? = nil, level: Int = 1, to path: String
  ) throws(StorageError) -> CheckpointHeader {
    let digest = Digest(of: state, updateCount: updateCount)
    var parentDigest: Digest?
    var frames: [[UInt8]] = []
    for start in stride(from: 0, to: state.count, by: frameFloats) {
      let range = start..<min(start + frameFloats, state.count)
      frames.append(
        state.span.extracting(range).withUnsafeBufferPointer { values in
          switch parent {
          case .some(let parent):
            parentDigest = parent.digest
            return parent.state.span.extracting(range).withUnsafeBufferPointer {
              CheckpointFrame.encode(values, parent: $0, level: Int32(level))
            }
          case .none:
            return CheckpointFrame.encode(values, parent: nil, level: Int32(level))
          }
        })
    }
    var head = Array("BTCK".utf8)
    head.append(version)
    head.append(UInt64(updateCount))
    head.append(UInt64(state.count))
    head.append(UInt32(frameFloats))
    head.append(UInt32(parentDigest == nil ? 0 : 1))
    for digest in [digest, parentDigest] {
      head.append(digest?.low ?? 0)
      head.append(digest?.high ?? 0)
    }
    for frame in frames {
      head.append(UInt64(frame.count))
      head.append(checksum(frame[...]))
    }
    head.append(checksum(head[...]))
    try writeWhole([head] + frames, to: path)
    return CheckpointHeader(
      updateCount: updateCount, stateCount: state.count, digest: digest, parent: parentDigest,
      fileBytes: head.count + frames.reduce(0) { $0 + $1.count })
  }

  /// Reads the state, every byte checked.
  /// - Parameter state: as long as the stored one; it holds the parent's values if the file names a parent, and is
  ///   decoded in place.
  public static func read(_ path: String, into state: inout StateBuffer) throws(StorageError) -> CheckpointHeader {
    let file = try CheckedFile(path)
    guard file.header.stateCount == state.count else {
      throw .damaged(path: path, reason: "it holds \(file.header.stateCount) floats, not \(state.count)")
    }
    if let parent = file.header.parent {
      guard Digest(of: state) == parent else { throw .damaged(path: path, reason: "its parent \(parent) is not at hand") }
    }
    for index in file.frames.indices {
      let start = index * file.frameFloats
      let bytes = try file.frame(index)
      var problem: String?
      var span = state.mutableSpan
      var part = span.extracting(start..<min(start + file.frameFloats, file.header.stateCount))
      part.withUnsafeMutableBufferPointer { values in
        bytes.withUnsafeBytes { problem = CheckpointFrame.decode($0, into: values, hasParent: file.header.parent != nil) }
      }
      if let problem { throw .damaged(path: path, reason: "frame \(index): \(problem)") }
    }
    guard Digest(of: state, updateCount: file.header.updateCount) == file.header.digest else {
      throw .damaged(path: path, reason: "the state it holds does not fit its digest")
    }
    return file.header
  }

  /// Checks every byte without decoding.
  public static func verify(_ path: String) throws(StorageError) {
    let file = try CheckedFile(path)
    for index in file.frames.indices { _ = try file.frame(index) }
  }

  static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.withUnsafeBytes { XXH3_64bits($0.baseAddress, $0.count) }
  }

  /// A file whose header is as it should be.
  private struct CheckedFile {
    let path: String
    let header: CheckpointHeader
    let frameFloats: Int
    /// Where each frame's bytes lie.
    let frames: [Range<Int>]
    private let bytes: [UInt8]

    init(_ path: String) throws(StorageError) {
      self.path = path
      let bytes = try readWhole(path)
      self.bytes = bytes
      func damaged(_ reason: String) -> StorageError { .damaged(path: path, reason: reason) }
      guard bytes.count >= fixedBytes + 8, bytes[..<4].elementsEqual("BTCK".utf8) else {
        throw damaged("it is not a checkpoint, or not a whole one")
      }
      guard bytes.number(UInt32.self, at: 4) == version else {
        throw damaged("it has the format version \(bytes.number(UInt32.self, at: 4)), not \(version)")
      }
      let stateCount = bytes.number(UInt64.self, at: 16)
      let frameFloats = UInt64(bytes.number(UInt32.self, at: 24))
      guard frameFloats > 0, stateCount < 1 << 40 else { throw damaged("its header is damaged") }
      let frameCount = (stateCount + frameFloats - 1) / frameFloats
      guard frameCount < bytes.count / 16 else { throw damaged("it ends before its header does") }
      let headBytes = fixedBytes + 16 * Int(frameCount)
      guard bytes.count >= headBytes + 8,
        checksum(bytes[..<headBytes]) == bytes.number(UInt64.self, at: headBytes)
      else { throw damaged("its header is damaged") }

      var frames: [Range<Int>] = []
      var start = headBytes + 8
      for index in 0..<Int(frameCount) {
        let length = bytes.number(UInt64.self, at: fixedBytes + 16 * index)
        guard length <= bytes.count - start else { throw damaged("it ends within frame \(index) of \(frameCount)") }
        frames.append(start..<start + Int(length))
        start += Int(length)
      }
      guard start == bytes.count else { throw damaged("\(bytes.count - start) bytes follow its last frame") }
      self.frames = frames
      self.frameFloats = Int(frameFloats)
      let digest = { (offset: Int) in
        Digest(high: bytes.number(UInt64.self, at: offset + 8), low: bytes.number(UInt64.self, at: offset))
      }
      header = CheckpointHeader(
        updateCount: Int(truncatingIfNeeded: bytes.number(UInt64.self, at: 8)), stateCount: Int(stateCount),
        digest: digest(32), parent: bytes.number(UInt32.self, at: 28) == 0 ? nil : digest(48), fileBytes: bytes.count)
    }

    /// The checked bytes of frame `index`.
    func frame(_ index: Int) throws(StorageError) -> ArraySlice<UInt8> {
      let slice = bytes[frames[index]]
      guard checksum(slice) == bytes.number(UInt64.self, at: fixedBytes + 16 * index + 8) else {
        throw .damaged(path: path, reason: "frame \(index) of \(frames.count) does not fit its checksum")
      }
      return slice
    }
  }
}

extension [UInt8] {
  fileprivate mutating func append(_ number: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
  }

  fileprivate func number<Number: FixedWidthInteger>(_ type: Number.Type, at offset: Int) -> Number {
    withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Number.self)) }
  }
}
