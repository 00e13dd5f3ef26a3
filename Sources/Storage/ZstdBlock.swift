import CZstd

/// Compresses one block after another with the same settings.
struct BlockCompressor: ~Copyable {
  private let context: OpaquePointer

  /// - Parameter level: 1 ... 19, zstd's.
  init(level: Int) throws(CodecError) {
    guard let context = ZSTD_createCCtx() else { throw .outOfMemory }
    self.context = context
    // Chance repeats of a few symbols cost more as matches than as entropy-coded literals: only long ones pay here.
    for (parameter, value) in [
      (ZSTD_c_compressionLevel, level), (ZSTD_c_minMatch, 7), (ZSTD_c_checksumFlag, 0), (ZSTD_c_dictIDFlag, 0),
    ] {
      let result = ZSTD_CCtx_setParameter(context, parameter, Int32(value))
      assert(ZSTD_isError(result) == 0, "zstd knows the parameter and the value is in its range")
    }
  }

  deinit { ZSTD_freeCCtx(context) }

  /// The most bytes that `compress` makes of `count`.
  static func capacity(count: Int) -> Int { ZSTD_compressBound(count) }

  /// Writes `input` as one zstd frame.
  /// - Parameter output: room for `capacity(count: input.count)` bytes.
  /// - Returns: The frame's size in bytes.
  func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws(CodecError) -> Int {
    let size = ZSTD_compress2(context, output.baseAddress, output.count, input.baseAddress, input.count)
    // The output has room, so memory is all that can lack.
    guard ZSTD_isError(size) == 0 else { throw .outOfMemory }
    return size
  }
}

/// Decompresses one block after another.
struct BlockDecompressor: ~Copyable {
  private let context: OpaquePointer

  init() throws(CodecError) {
    guard let context = ZSTD_createDCtx() else { throw .outOfMemory }
    self.context = context
  }

  deinit { ZSTD_freeDCtx(context) }

  /// Reads the zstd frames that fill `input`, one after another.
  /// - Returns: How many bytes of `output` they gave.
  func decompress(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int {
    let size = ZSTD_decompressDCtx(context, output.baseAddress, output.count, input.baseAddress, input.count)
    guard ZSTD_isError(size) == 0 else { throw .damaged(String(cString: ZSTD_getErrorName(size))) }
    return size
  }
}
