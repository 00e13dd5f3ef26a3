import CZstd

/// The structure of a Zstandard frame (RFC 8878, section 3.1.1):
///
///     4 bytes         magic, 28 B5 2F FD
///     2 to 14 bytes   header: flags (bit 2: there is a checksum) and, in frames made here, the content's size
///     …               blocks
///     4 bytes         checksum: the low 32 bits of the XXH64 (seed 0) of the content
enum ZstdFrame {
  static let magic: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]

  /// The largest size in bytes of a frame with `contentSize` bytes of content.
  static func maximumSize(contentSize: Int) -> Int { ZSTD_compressBound(contentSize) }

  /// The checksum at the end of a frame.
  static func checksum(_ frame: [UInt8]) -> UInt32 {
    frame.suffix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// The size of the frame at the start of `bytes`, and that of its content. Nil if there is no complete frame, or if
  /// the frame has no checksum or does not contain the size of its content. The checksum is not verified.
  static func sizes(atStartOf bytes: [UInt8]) -> (frame: Int, content: Int)? {
    guard bytes.starts(with: magic), bytes.count > 4, bytes[4] & 0b100 != 0 else { return nil }
    return bytes.withUnsafeBytes { buffer in
      let frame = ZSTD_findFrameCompressedSize(buffer.baseAddress, buffer.count)
      // The values for “unknown” and “error” are the two largest numbers, which do not fit into an `Int`.
      let content = ZSTD_getFrameContentSize(buffer.baseAddress, buffer.count)
      guard ZSTD_isError(frame) == 0, let content = Int(exactly: content) else { return nil }
      return (frame, content)
    }
  }
}
