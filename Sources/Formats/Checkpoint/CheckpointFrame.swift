import Tensors

/// A part of a training state that is encoded and decoded on its own.
///
/// The encoded bytes, with numbers in little-endian order:
///
///     0       filter: 0 heads with two mantissa bits, 1 with none (`FloatSplit`), 2 difference (`FloatDifference`)
///     1 ... 2 with filter 0, the head whose symbol is 1; otherwise 0
///     3 ...   two zstd frames (RFC 8878), which together hold the filtered bytes: the symbols or buckets, and the rest
package struct CheckpointFrame {
  /// The number of floats in a full frame, 1 MiB. The last frame of a section may be shorter.
  package static let length = 1 << 18

  /// The position of its floats in the state.
  let region: Region
  let precision: CheckpointPrecision

  /// The frames of consecutive sections.
  static func frames(of sections: [CheckpointSection]) -> [CheckpointFrame] {
    var frames: [CheckpointFrame] = []
    var start = 0
    for section in sections {
      let end = start + section.count
      for offset in stride(from: start, to: end, by: length) {
        let region = Region(offset: offset, count: min(length, end - offset))
        frames.append(CheckpointFrame(region: region, precision: section.precision))
      }
      start = end
    }
    return frames
  }

  static let headerSize = 3
  static let capacity =
    headerSize + ZstdFrame.maximumSize(contentSize: length)
    + ZstdFrame.maximumSize(contentSize: filteredCapacity - length)
  static let filteredCapacity = FloatDifference.capacity(count: length)

  /// The frame's floats in a state as bit patterns, which are integers of the same size and alignment.
  func bits(of state: UnsafeBufferPointer<Float>) -> UnsafePointer<UInt32> {
    let floats = UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: state[region.offset..<region.end]))
    // No frame is empty, so there is a base address.
    return floats.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt32.self)
  }

  enum Filter: UInt8 {
    case fineSplit = 0
    case coarseSplit = 1
    case difference = 2
  }
}

/// Encodes frames one after another, reusing its memory.
///
/// It is `Sendable` so that it can be passed between threads, one of which uses it at a time: in a round of
/// `CheckpointWriting.encode` each encoder belongs to the thread of its index, and its output is read when
/// `concurrentPerform` has returned and all threads have ended.
final class CheckpointFrameEncoder: @unchecked Sendable {
  private let compressor: ZstdCompressor
  private let filtered = UnsafeMutableRawBufferPointer.allocate(
    byteCount: CheckpointFrame.filteredCapacity, alignment: 64)
  private let scratch = UnsafeMutableRawBufferPointer.allocate(
    byteCount: CheckpointFrame.length + FloatDifference.scratchSize, alignment: 64)
  /// The encoded frame (`output`), and a second attempt to encode it.
  private var output = UnsafeMutableRawBufferPointer.allocate(byteCount: CheckpointFrame.capacity, alignment: 64)
  private var attempt = UnsafeMutableRawBufferPointer.allocate(byteCount: CheckpointFrame.capacity, alignment: 64)
  /// The rounded floats of the frame and of its parent, allocated if a precision requires it.
  private var rounded = UnsafeMutableBufferPointer<UInt32>(start: nil, count: 0)
  private var roundedParent = UnsafeMutableBufferPointer<UInt32>(start: nil, count: 0)

  /// The frame's floats as they will be decoded. They are valid until the next frame is encoded.
  private(set) var values = UnsafeRawBufferPointer(start: nil, count: 0)
  /// The encoded frame. It is valid until the next frame is encoded.
  private(set) var encoded = UnsafeRawBufferPointer(start: nil, count: 0)
  private(set) var digest = Digest(high: 0, low: 0)

  init(level: Int) throws(CodecError) {
    // Accidental repeats of a few symbols cost more as matches than as entropy-coded literals, so only long matches
    // pay.
    compressor = try ZstdCompressor(level: level, hasChecksum: false, leastMatch: 7)
  }

  deinit {
    for buffer in [filtered, scratch, output, attempt] { buffer.deallocate() }
    rounded.deallocate()
    roundedParent.deallocate()
  }

  /// Encodes `frame` of the state at `state`, as a difference if there is a parent and the difference is smaller.
  func encode(
    _ frame: CheckpointFrame, of state: UnsafeBufferPointer<Float>, parent: UnsafeBufferPointer<Float>?
  ) throws(CodecError) {
    let count = frame.region.count
    let bits = Self.round(frame.bits(of: state), count: count, to: frame.precision, in: &rounded)
    values = UnsafeRawBufferPointer(start: bits, count: count * MemoryLayout<UInt32>.stride)

    var size = Int.max
    if let parent {
      let origin = Self.round(frame.bits(of: parent), count: count, to: frame.precision, in: &roundedParent)
      size = try encodeDifference(bits, from: origin, frame)
    }
    // A split is seldom smaller than three quarters of the stored bits, so it is not tried if the difference is below
    // that.
    if size > count * Int(32 - frame.precision.droppedBits) / 8 * 3 / 4 {
      swap(&output, &attempt)
      let alone = try encodeSplit(bits, frame)
      if alone < size { size = alone } else { swap(&output, &attempt) }
    }
    encoded = UnsafeRawBufferPointer(rebasing: output[..<size])
    digest = Digest(of: encoded.bytes)
  }

  private func encodeDifference(
    _ bits: UnsafePointer<UInt32>, from parent: UnsafePointer<UInt32>, _ frame: CheckpointFrame
  ) throws(CodecError) -> Int {
    let size = FloatDifference.encode(
      bits, parent: parent, count: frame.region.count, precision: frame.precision,
      into: filtered.bytePointer, scratch: scratch.wordPointer)
    return try compress(size, symbols: frame.region.count, filter: .difference, base: 0)
  }

  private func encodeSplit(_ bits: UnsafePointer<UInt32>, _ frame: CheckpointFrame) throws(CodecError) -> Int {
    let split = FloatSplit(of: bits, count: frame.region.count)
    split.encode(
      bits, count: frame.region.count, precision: frame.precision,
      into: filtered.bytePointer, scratch: scratch.bytePointer)
    return try compress(
      split.size(count: frame.region.count, precision: frame.precision), symbols: frame.region.count,
      filter: split.isFine ? .fineSplit : .coarseSplit, base: split.isFine ? UInt16(split.base) : 0)
  }

  /// Writes the frame with `size` filtered bytes. The symbols at their beginning are compressed separately from the
  /// rest, so that no zstd block, and so no single code, contains both.
  private func compress(
    _ size: Int, symbols: Int, filter: CheckpointFrame.Filter, base: UInt16
  ) throws(CodecError) -> Int {
    output[0] = filter.rawValue
    output.storeBytes(of: base.littleEndian, toByteOffset: 1, as: UInt16.self)
    var end = CheckpointFrame.headerSize
    for part in [0..<symbols, symbols..<size] {
      end += try compressor.compress(
        UnsafeRawBufferPointer(rebasing: filtered[part]),
        into: UnsafeMutableRawBufferPointer(rebasing: output[end...]))
    }
    return end
  }

  private static func round(
    _ bits: UnsafePointer<UInt32>, count: Int, to precision: CheckpointPrecision,
    in buffer: inout UnsafeMutableBufferPointer<UInt32>
  ) -> UnsafePointer<UInt32> {
    if precision == .float32 { return bits }
    if buffer.count < count {
      buffer.deallocate()
      buffer = .allocate(capacity: CheckpointFrame.length)
    }
    for i in 0..<count { buffer[i] = precision.rounded(bits[i]) }
    return UnsafePointer(buffer.baseAddress.unsafelyUnwrapped)
  }
}

/// Decodes frames one after another, reusing its memory.
final class CheckpointFrameDecoder {
  private let decompressor: ZstdDecompressor
  private let filtered = UnsafeMutableRawBufferPointer.allocate(
    byteCount: CheckpointFrame.filteredCapacity, alignment: 64)
  /// The buffer that holds an encoded frame for decoding.
  let input = UnsafeMutableRawBufferPointer.allocate(byteCount: CheckpointFrame.capacity, alignment: 64)

  init() throws(CodecError) { decompressor = try ZstdDecompressor() }

  deinit {
    for buffer in [filtered, input] { buffer.deallocate() }
  }

  /// Checks the first `size` bytes of `input` against their digest.
  func verify(size: Int, digest: Digest) throws(CodecError) {
    guard Digest(of: UnsafeRawBufferPointer(rebasing: input[..<size]).bytes) == digest else {
      throw .damaged("its checksum is wrong")
    }
  }

  /// Decodes the first `size` bytes of `input` over the floats of `frame`, which hold the parent's floats.
  func decode(_ frame: CheckpointFrame, size: Int, over state: UnsafeMutableBufferPointer<Float>) throws(CodecError) {
    guard size >= CheckpointFrame.headerSize, let filter = CheckpointFrame.Filter(rawValue: input[0]) else {
      throw .damaged("its filter is unknown")
    }
    let base = UInt16(littleEndian: input.loadUnaligned(fromByteOffset: 1, as: UInt16.self))
    let filteredSize = try decompressor.decompress(
      UnsafeRawBufferPointer(rebasing: input[CheckpointFrame.headerSize..<size]), into: filtered)
    let bits = UnsafeMutablePointer(mutating: frame.bits(of: UnsafeBufferPointer(state)))
    let count = frame.region.count

    let isWhole: Bool
    switch filter {
    case .fineSplit, .coarseSplit:
      let split = FloatSplit(isFine: filter == .fineSplit, base: filter == .fineSplit ? UInt32(base) : 1)
      isWhole = filteredSize == split.size(count: count, precision: frame.precision)
      if isWhole {
        split.decode(
          filtered.bytePointer, count: count, precision: frame.precision, into: bits)
      }
    case .difference:
      if frame.precision != .float32 {
        for i in 0..<count { bits[i] = frame.precision.rounded(bits[i]) }
      }
      isWhole = FloatDifference.decode(
        filtered.bytePointer, size: filteredSize, count: count, precision: frame.precision, over: bits)
    }
    guard isWhole else { throw .damaged("it has not the length its contents tell") }
  }
}

extension UnsafeMutableRawBufferPointer {
  fileprivate var bytePointer: UnsafeMutablePointer<UInt8> {
    // The buffers of a codec are never empty.
    baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
  }

  fileprivate var wordPointer: UnsafeMutablePointer<UInt32> {
    baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt32.self)
  }
}
