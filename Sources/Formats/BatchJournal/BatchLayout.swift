/// The way imported batches are packed into frames.
///
/// The content of a frame, before compression:
///
///     8 bytes   the number of its first batch, little-endian
///     8 bytes   how many batches were committed when the append that wrote it began, little-endian
///     …         batch after batch, index after index, as a stream of bits that fills each byte from its lowest bit on:
///               `indexBits` for each index, lowest bit first; zeros up to a whole byte at the end
///
/// Whole bits cost less than 1 bit per index more than the entropy of uniform draws, log₂ `exampleCount`: 0.8 % for
/// 60,000 examples. Such indices do not compress; in others zstd finds the regularities.
package struct BatchLayout: Sendable, Equatable {
  let exampleCount: Int
  let batchSize: Int

  /// ⌈log₂ `exampleCount`⌉; 0 if there is one example.
  package let indexBits: Int

  /// The number of bits of a batch, at least 8, so that the size of a frame's content determines its number of
  /// batches: padding is less than 8 bits.
  let batchBits: Int

  /// The number of batches in a full frame: those that fit in 32 KiB, but at least one. Smaller frames are read
  /// faster, larger ones have less overhead: 42 bytes per frame (content header 16, zstd 14, seek table 12) are 0.13
  /// %.
  package let batchesPerFrame: Int

  static let headerSize = 16
  private static let frameSize = 32 << 10

  /// Nil if such batches can't exist or can't be stored: an index has at most 32 bits, a batch at most 2²⁴ indices.
  package init?(exampleCount: Int, batchSize: Int) {
    guard exampleCount > 0, exampleCount <= 1 << 32, batchSize > 0, batchSize <= 1 << 24 else { return nil }
    self.exampleCount = exampleCount
    self.batchSize = batchSize
    indexBits = Int.bitWidth - (exampleCount - 1).leadingZeroBitCount
    batchBits = max(8, batchSize * indexBits)
    batchesPerFrame = max(1, 8 * Self.frameSize / batchBits)
  }

  /// The size of a frame's content, in bytes.
  func contentSize(batchCount: Int) -> Int { Self.headerSize + (batchCount * batchBits + 7) / 8 }

  var maximumContentSize: Int { contentSize(batchCount: batchesPerFrame) }

  /// The number of batches in a frame's content of this size; nil if no frame has this size.
  func batchCount(contentSize: Int) -> Int? {
    let count = 8 * (contentSize - Self.headerSize) / batchBits
    guard count > 0, count <= batchesPerFrame, self.contentSize(batchCount: count) == contentSize else { return nil }
    return count
  }
}

/// The content of a frame of batches while it is being filled.
struct BatchFrameBuilder {
  let layout: BatchLayout
  private(set) var batchCount = 0
  private var bytes: [UInt8] = []
  /// The bits that do not fill a byte yet, lowest first.
  private var bits: UInt64 = 0
  private var bitCount = 0

  init(layout: BatchLayout) {
    self.layout = layout
    bytes.reserveCapacity(layout.contentSize(batchCount: layout.batchesPerFrame))
    reset()
  }

  var isFull: Bool { batchCount == layout.batchesPerFrame }

  mutating func reset() {
    batchCount = 0
    (bits, bitCount) = (0, 0)
    bytes.removeAll(keepingCapacity: true)
    for _ in 0..<BatchLayout.headerSize { bytes.append(0) }
  }

  /// - Precondition: The indices are below the layout's `exampleCount`.
  mutating func append(_ batch: [Int]) {
    for index in batch { append(UInt64(index), width: layout.indexBits) }
    append(0, width: layout.batchBits - layout.batchSize * layout.indexBits)
    batchCount += 1
  }

  private mutating func append(_ value: UInt64, width: Int) {
    // At most 7 bits are pending, and at most 32 are added.
    bits |= value << UInt64(bitCount)
    bitCount += width
    while bitCount >= 8 {
      bytes.append(UInt8(truncatingIfNeeded: bits))
      bits >>= 8
      bitCount -= 8
    }
  }

  func content(firstBatch: Int, committedCount: Int) -> [UInt8] {
    var header: [UInt8] = []
    header.append(littleEndian: UInt64(firstBatch))
    header.append(littleEndian: UInt64(committedCount))
    var content = bytes
    content.replaceSubrange(0..<BatchLayout.headerSize, with: header)
    if bitCount > 0 { content.append(UInt8(truncatingIfNeeded: bits)) }
    return content
  }
}

/// The content of a frame of batches that was read.
struct BatchFrame {
  let firstBatch: Int
  let committedCount: Int
  let batchCount: Int
  private let layout: BatchLayout
  private let content: [UInt8]

  /// Nil if no frame has this content.
  init?(_ content: [UInt8], layout: BatchLayout) {
    guard let batchCount = layout.batchCount(contentSize: content.count) else { return nil }
    var header = ByteReader(content)
    guard let firstBatch = Int(exactly: header.uint64()), firstBatch > 0,
      let committedCount = Int(exactly: header.uint64()), committedCount < firstBatch
    else { return nil }
    self.firstBatch = firstBatch
    self.committedCount = committedCount
    self.batchCount = batchCount
    self.layout = layout
    self.content = content
  }

  /// Overwrites `indices` with those of a batch.
  /// - Parameter position: The index of the batch in the frame, from 0.
  /// - Returns: Whether all indices are below the layout's `exampleCount`.
  func fill(_ indices: inout [Int], position: Int) -> Bool {
    var largest: UInt64 = 0
    let mask: UInt64 = (1 << UInt64(layout.indexBits)) - 1
    var bit = position * layout.batchBits
    for row in indices.indices {
      // 32 bits from any bit position of a byte lie within 5 bytes.
      let byte = BatchLayout.headerSize + (bit >> 3)
      var word: UInt64 = 0
      for offset in 0..<(layout.indexBits + (bit & 7) + 7) >> 3 {
        word |= UInt64(content[byte + offset]) << UInt64(8 * offset)
      }
      let index = (word >> UInt64(bit & 7)) & mask
      largest = max(largest, index)
      indices[row] = Int(index)
      bit += layout.indexBits
    }
    return largest < UInt64(layout.exampleCount)
  }
}
