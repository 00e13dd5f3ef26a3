import CZstd

/// Compresses pieces of data one after another into zstd frames, all with the same settings.
struct ZstdCompressor: ~Copyable {
  private let context: OpaquePointer

  /// - Parameters:
  ///   - level: The compression level of zstd, 1 ... 19.
  ///   - hasChecksum: Whether each frame ends with a checksum of its content.
  ///   - leastMatch: The shortest repeat that is searched for, in bytes; nil for the default of the level.
  /// - Throws: `CodecError.outOfMemory`.
  init(level: Int, hasChecksum: Bool, leastMatch: Int? = nil) throws(CodecError) {
    guard let context = ZSTD_createCCtx() else { throw .outOfMemory }
    self.context = context
    var parameters = [(ZSTD_c_compressionLevel, level), (ZSTD_c_checksumFlag, hasChecksum ? 1 : 0)]
    if let leastMatch { parameters.append((ZSTD_c_minMatch, leastMatch)) }
    for (parameter, value) in parameters {
      let result = ZSTD_CCtx_setParameter(context, parameter, Int32(value))
      assert(ZSTD_isError(result) == 0, "zstd knows the parameter, and the value is in its range")
    }
  }

  deinit { ZSTD_freeCCtx(context) }

  /// Compresses `input` to one frame.
  /// - Parameter output: A buffer for `ZstdFrame.maximumSize(contentSize: input.count)` bytes.
  /// - Returns: The size of the frame in bytes.
  /// - Throws: `CodecError.outOfMemory`.
  func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws(CodecError) -> Int {
    let size = ZSTD_compress2(context, output.baseAddress, output.count, input.baseAddress, input.count)
    // The output is large enough, so only memory can be lacking.
    guard ZSTD_isError(size) == 0 else { throw .outOfMemory }
    return size
  }

  /// Compresses `content` to one frame.
  /// - Throws: `CodecError.outOfMemory`.
  func frame(of content: [UInt8]) throws(CodecError) -> [UInt8] {
    var frame = [UInt8](repeating: 0, count: ZstdFrame.maximumSize(contentSize: content.count))
    let size = try frame.withUnsafeMutableBufferPointer { output throws(CodecError) in
      try content.withUnsafeBufferPointer { input throws(CodecError) in
        try compress(UnsafeRawBufferPointer(input), into: UnsafeMutableRawBufferPointer(output))
      }
    }
    frame.removeLast(frame.count - size)
    return frame
  }
}

/// Decompresses pieces of data one after another.
struct ZstdDecompressor: ~Copyable {
  private let context: OpaquePointer

  /// - Throws: `CodecError.outOfMemory`.
  init() throws(CodecError) {
    guard let context = ZSTD_createDCtx() else { throw .outOfMemory }
    self.context = context
  }

  deinit { ZSTD_freeDCtx(context) }

  /// Decompresses the frames in `input`, one after another, and verifies their checksums, if any.
  /// - Returns: The number of bytes written to `output`.
  /// - Throws: `CodecError.damaged`.
  func decompress(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int {
    let size = ZSTD_decompressDCtx(context, output.baseAddress, output.count, input.baseAddress, input.count)
    guard ZSTD_isError(size) == 0 else { throw .damaged(String(cString: ZSTD_getErrorName(size))) }
    return size
  }

  /// The content of exactly one frame, with its checksum verified.
  /// - Parameter count: The size of the content in bytes. No more memory is allocated, whatever the frame says.
  /// - Throws: `CodecError.damaged`.
  func content(of frame: [UInt8], count: Int) throws(CodecError) -> [UInt8] {
    guard let sizes = ZstdFrame.sizes(atStartOf: frame) else { throw .damaged("is no zstd frame") }
    guard sizes == (frame.count, count) else {
      throw .damaged(
        "has \(sizes.frame) bytes with a content of \(sizes.content), where \(frame.count) and \(count) belong")
    }
    var content = [UInt8](repeating: 0, count: count)
    let size = try content.withUnsafeMutableBufferPointer { output throws(CodecError) in
      try frame.withUnsafeBufferPointer { input throws(CodecError) in
        try decompress(UnsafeRawBufferPointer(input), into: UnsafeMutableRawBufferPointer(output))
      }
    }
    guard size == count else { throw .damaged("holds less than it says") }
    return content
  }
}
