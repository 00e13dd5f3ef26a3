import Tensors

/// Reads integers one after the other in little-endian order. There must be enough bytes for everything that is read.
struct ByteReader {
  private let source: [UInt8]
  private var next: Int

  /// - Parameter offset: The offset of the first byte to read.
  init(_ bytes: [UInt8], at offset: Int = 0) {
    source = bytes
    next = offset
  }

  mutating func bytes(_ count: Int) -> ArraySlice<UInt8> {
    defer { next += count }
    return source[next..<next + count]
  }

  mutating func integer<Number: FixedWidthInteger & UnsignedInteger>(size: Int = Number.bitWidth / 8) -> Number {
    var number: Number = 0
    for byte in 0..<size { number |= Number(source[next + byte]) << (8 * byte) }
    next += size
    return number
  }

  mutating func uint8() -> UInt8 { integer() }
  mutating func uint32() -> UInt32 { integer() }
  mutating func uint64() -> UInt64 { integer() }

  /// Reads a digest: its low word, then its high word.
  mutating func digest() -> Digest {
    let low = uint64()
    return Digest(high: uint64(), low: low)
  }
}

extension [UInt8] {
  /// Appends the first `size` bytes of a number in little-endian order; by default all of them.
  mutating func append<Number: FixedWidthInteger>(littleEndian number: Number, size: Int = Number.bitWidth / 8) {
    for byte in 0..<size { append(UInt8(truncatingIfNeeded: number >> (8 * byte))) }
  }

  /// Appends a digest: its low word, then its high word.
  mutating func append(_ digest: Digest) {
    append(littleEndian: digest.low)
    append(littleEndian: digest.high)
  }
}
