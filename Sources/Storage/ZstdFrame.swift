import CZstd

/// Why zstd can't compress or decompress something, in words.
struct ZstdFailure: Error {
  let reason: String
}

/// What a Zstandard frame (RFC 8878, section 3.1.1) says of itself:
///
///     4 bytes         magic, 28 B5 2F FD
///     2 to 14 bytes   header: flags (bit 2: there is a checksum) and, in frames made here, the content's size
///     …               blocks
///     4 bytes         checksum: the low 32 bits of the XXH64 (seed 0) of the content
enum ZstdFrame {
  static let magic: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]

  /// The most bytes a frame takes for so many bytes of content.
  static func maximumSize(contentSize: Int) -> Int { ZSTD_compressBound(contentSize) }

  /// The checksum at the end of a frame.
  static func checksum(_ frame: [UInt8]) -> UInt32 {
    frame.suffix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// The size of the frame that `bytes` begin with and that of its content; nil where there is no whole frame, or none
  /// that has a checksum and tells its content's size. The checksum is not compared.
  static func sizes(atStartOf bytes: [UInt8]) -> (frame: Int, content: Int)? {
    guard bytes.starts(with: magic), bytes.count > 4, bytes[4] & 0b100 != 0 else { return nil }
    return bytes.withUnsafeBytes { buffer in
      let frame = ZSTD_findFrameCompressedSize(buffer.baseAddress, buffer.count)
      // “Unknown” and “error” are the two largest numbers.
      let content = ZSTD_getFrameContentSize(buffer.baseAddress, buffer.count)
      guard ZSTD_isError(frame) == 0, let content = Int(exactly: content) else { return nil }
      return (frame, content)
    }
  }
}

/// Makes frames that hold their content's size and checksum.
struct ZstdCompressor: ~Copyable {
  private let context: OpaquePointer

  /// - Parameter level: zstd's, 1 being the fastest that compresses.
  init(level: Int32) throws(ZstdFailure) {
    guard let context = ZSTD_createCCtx() else { throw ZstdFailure(reason: "there is no memory to compress with") }
    for (parameter, value) in [(ZSTD_c_compressionLevel, level), (ZSTD_c_checksumFlag, 1)] {
      let status = ZSTD_CCtx_setParameter(context, parameter, value)
      guard ZSTD_isError(status) == 0 else {
        ZSTD_freeCCtx(context)
        throw ZstdFailure(reason: String(cString: ZSTD_getErrorName(status)))
      }
    }
    self.context = context
  }

  deinit { ZSTD_freeCCtx(context) }

  mutating func frame(of content: [UInt8]) throws(ZstdFailure) -> [UInt8] {
    var frame = [UInt8](repeating: 0, count: ZstdFrame.maximumSize(contentSize: content.count))
    let size = frame.withUnsafeMutableBytes { target in
      content.withUnsafeBytes { source in
        ZSTD_compress2(context, target.baseAddress, target.count, source.baseAddress, source.count)
      }
    }
    frame.removeLast(frame.count - (try checked(size)))
    return frame
  }
}

struct ZstdDecompressor: ~Copyable {
  private let context: OpaquePointer

  init() throws(ZstdFailure) {
    guard let context = ZSTD_createDCtx() else { throw ZstdFailure(reason: "there is no memory to decompress with") }
    self.context = context
  }

  deinit { ZSTD_freeDCtx(context) }

  /// The content of exactly one frame, its checksum verified.
  /// - Parameter count: the content's size. No more memory than this is taken, whatever the frame says.
  mutating func content(of frame: [UInt8], count: Int) throws(ZstdFailure) -> [UInt8] {
    guard let sizes = ZstdFrame.sizes(atStartOf: frame) else { throw ZstdFailure(reason: "is no zstd frame") }
    guard sizes == (frame.count, count) else {
      throw ZstdFailure(
        reason: "has \(sizes.frame) bytes with a content of \(sizes.content), where \(frame.count) and \(count) belong")
    }
    var content = [UInt8](repeating: 0, count: count)
    let size = content.withUnsafeMutableBytes { target in
      frame.withUnsafeBytes { source in
        ZSTD_decompressDCtx(context, target.baseAddress, target.count, source.baseAddress, source.count)
      }
    }
    guard try checked(size) == count else { throw ZstdFailure(reason: "holds less than it says") }
    return content
  }
}

/// A size zstd returned, where it isn't an error in disguise.
private func checked(_ size: Int) throws(ZstdFailure) -> Int {
  guard ZSTD_isError(size) == 0 else { throw ZstdFailure(reason: String(cString: ZSTD_getErrorName(size))) }
  return size
}
