import CZstd
import Foundation
import Tensors

/// How the floats of one frame become bytes and come back.
///
/// A float's bits are parted into a *class*, which is predictable, and the bits below it, which are not:
///
/// - alone: the class is the 8-bit exponent, the rest are sign and mantissa, 24 bits;
/// - against a parent: both floats are mapped to integers in the floats' order, the difference is zigzag-coded (0, −1, 1,
///   −2, … become 0, 1, 2, 3, …), the class is its bit length 0 … 32, the rest are the bits below its leading one.
///
/// Classes, a byte each, are compressed with zstd, at level 1 with hardly any search for matches, so that it comes down to
/// Huffman coding: among some ten symbols short matches are found everywhere by chance, and cost more than they save. The
/// rest is packed bit by bit, least significant first. A trained network's exponents and the lengths of its changes are concentrated on few values,
/// while mantissas are as good as random: no model of them is worth its time.
///
/// A frame whose floats are all the same, such as a slot that is still zero, alone is a zero length and the float's bits.
///
/// Layout: classes' compressed length (4 bytes, little-endian), compressed classes, packed bits in 8-byte words.
enum CheckpointFrame {
  /// - Parameter parent: as many floats as `values`; nil for a frame that stands alone.
  static func encode(
    _ values: UnsafeBufferPointer<Float>, parent: UnsafeBufferPointer<Float>?, level: Int32
  ) -> [UInt8] {
    if parent == nil, let first = values.first?.bitPattern, values.allSatisfy({ $0.bitPattern == first }) {
      return [0, 0, 0, 0] + (0..<4).map { UInt8(truncatingIfNeeded: first >> (8 * $0)) }
    }
    var classes = [UInt8](repeating: 0, count: values.count)
    var rests = [UInt32](repeating: 0, count: values.count)
    var widths = [UInt8](repeating: 24, count: values.count)
    if let parent {
      for i in 0..<values.count {
        let difference = Int64(ordered(values[i].bitPattern)) - Int64(ordered(parent[i].bitPattern))
        // 33 bits hold every difference; zigzag leaves the sign in the lowest.
        let zigzag = UInt64(bitPattern: (difference << 1) ^ (difference >> 63))
        let length = UInt8(64 - zigzag.leadingZeroBitCount)
        classes[i] = length
        widths[i] = length == 0 ? 0 : length - 1
        rests[i] = UInt32(truncatingIfNeeded: length == 0 ? 0 : zigzag ^ (1 << UInt64(length - 1)))
      }
    } else {
      for i in 0..<values.count {
        let bits = values[i].bitPattern
        classes[i] = UInt8(truncatingIfNeeded: bits >> 23)
        rests[i] = bits & 0x7F_FFFF | (bits >> 31) << 23
      }
    }

    let bound = ZSTD_compressBound(classes.count)
    let payload = 8 * ((widths.reduce(0) { $0 + Int($1) } + 63) / 64)
    return [UInt8](unsafeUninitializedCapacity: 4 + bound + payload) { bytes, count in
      let raw = UnsafeMutableRawBufferPointer(bytes)
      let compressed = compress(classes, to: raw.baseAddress.map { $0 + 4 }, capacity: bound, level: level)
      // The bound leaves no way to fail but memory.
      precondition(ZSTD_isError(compressed) == 0, "zstd refused a bounded block")
      raw.storeBytes(of: UInt32(compressed).littleEndian, as: UInt32.self)
      var word: UInt64 = 0
      var used: UInt64 = 0
      var offset = 4 + compressed
      for i in 0..<rests.count {
        let rest = UInt64(rests[i])
        let width = UInt64(widths[i])
        word |= rest << used
        used += width
        if used >= 64 {
          raw.storeBytes(of: word.littleEndian, toByteOffset: offset, as: UInt64.self)
          offset += 8
          used -= 64
          word = used == 0 ? 0 : rest >> (width - used)
        }
      }
      if used > 0 {
        raw.storeBytes(of: word.littleEndian, toByteOffset: offset, as: UInt64.self)
        offset += 8
      }
      count = offset
    }
  }

  private static func compress(
    _ classes: [UInt8], to target: UnsafeMutableRawPointer?, capacity: Int, level: Int32
  ) -> Int {
    let context = ZSTD_createCCtx()
    defer { ZSTD_freeCCtx(context) }
    var parameters = [(ZSTD_c_compressionLevel, level)]
    if level == 1 {
      // The fewest chances to find a match that zstd allows, without cutting the frame into smaller blocks.
      parameters += [
        (ZSTD_c_strategy, Int32(ZSTD_fast.rawValue)), (ZSTD_c_minMatch, 7), (ZSTD_c_hashLog, 6), (ZSTD_c_windowLog, 18),
      ]
    }
    for (parameter, value) in parameters { ZSTD_CCtx_setParameter(context, parameter, value) }
    return ZSTD_compress2(context, target, capacity, classes, classes.count)
  }

  /// Overwrites `values` with the frame's floats.
  /// - Parameter hasParent: whether `values` holds the parent's floats, which the frame is the difference to.
  /// - Returns: nil, or what is wrong with the frame.
  static func decode(
    _ bytes: UnsafeRawBufferPointer, into values: UnsafeMutableBufferPointer<Float>, hasParent: Bool
  ) -> String? {
    guard bytes.count >= 4 else { return "it is too short" }
    let compressed = Int(UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)))
    guard compressed <= bytes.count - 4, let start = bytes.baseAddress else { return "it is too short for its classes" }
    if compressed == 0 && bytes.count == 8 && !hasParent {
      let value = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
      values.update(repeating: Float(bitPattern: value))
      return nil
    }
    var classes = [UInt8](repeating: 0, count: values.count)
    let size = ZSTD_decompress(&classes, classes.count, start + 4, compressed)
    guard ZSTD_isError(size) == 0, size == values.count else { return "its classes do not decompress" }

    let largest = hasParent ? 33 : 255
    guard classes.allSatisfy({ $0 <= largest }) else { return "it has an impossible class" }
    let width = { (length: UInt8) in hasParent ? UInt64(length == 0 ? 0 : length - 1) : 24 }
    let bits = classes.reduce(0) { $0 + Int(width($1)) }
    guard bytes.count - 4 - compressed == 8 * ((bits + 63) / 64) else { return "its bits do not fit its classes" }

    var reader = BitReader(bytes, offset: 4 + compressed)
    if hasParent {
      for i in 0..<values.count {
        let length = classes[i]
        guard length > 0 else { continue }
        let zigzag = reader.read(width(length)) | 1 << UInt64(length - 1)
        let difference = Int64(bitPattern: zigzag >> 1) ^ -Int64(bitPattern: zigzag & 1)
        let value = UInt32(truncatingIfNeeded: Int64(ordered(values[i].bitPattern)) + difference)
        values[i] = Float(bitPattern: unordered(value))
      }
    } else {
      for i in 0..<values.count {
        let rest = UInt32(truncatingIfNeeded: reader.read(24))
        values[i] = Float(bitPattern: (rest >> 23) << 31 | UInt32(classes[i]) << 23 | rest & 0x7F_FFFF)
      }
    }
    return nil
  }

  /// Bits of a float as an integer that grows with the float: negative floats' bits are turned over.
  private static func ordered(_ bits: UInt32) -> UInt32 {
    bits ^ (UInt32(bitPattern: Int32(bitPattern: bits) >> 31) | 0x8000_0000)
  }

  private static func unordered(_ integer: UInt32) -> UInt32 {
    integer ^ (~UInt32(bitPattern: Int32(bitPattern: integer) >> 31) | 0x8000_0000)
  }
}

/// Reads bits packed into 8-byte words, least significant first.
private struct BitReader {
  private let bytes: UnsafeRawBufferPointer
  private var offset: Int
  private var word: UInt64 = 0
  private var left: UInt64 = 0

  init(_ bytes: UnsafeRawBufferPointer, offset: Int) {
    self.bytes = bytes
    self.offset = offset
  }

  /// The next `width` bits, at most 32. The caller has checked that they are there.
  mutating func read(_ width: UInt64) -> UInt64 {
    var value = word
    if left < width {
      word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      offset += 8
      value |= word << left
      word >>= width - left
      left += 64 - width
    } else {
      word >>= width
      left -= width
    }
    return value & (1 << width - 1)
  }
}
