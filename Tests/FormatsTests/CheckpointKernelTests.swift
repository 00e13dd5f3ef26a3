import CKernels
import TestSupport
import Testing

/// Compares the kernels with plain definitions of their results, on bytes of all values.
@Suite struct CheckpointKernelTests {
  static let counts = Array(0...67) + [511, 512, 513, 527, 1023, 1024, 1040, 5000]

  /// Memory of exactly the size a kernel may read or write, between bytes that it must leave unchanged.
  private struct Guarded {
    static let margin = 64
    var bytes: [UInt8]

    init(_ content: [UInt8]) {
      let margin = [UInt8](repeating: 0xa5, count: Self.margin)
      bytes = margin + content + margin
    }

    mutating func withWords(_ body: (UnsafeMutablePointer<UInt32>) -> Void) {
      bytes.withUnsafeMutableBytes { body(($0.baseAddress! + Self.margin).assumingMemoryBound(to: UInt32.self)) }
    }
  }

  private static func bytes(of words: [UInt32]) -> [UInt8] {
    words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
  }

  @Test(arguments: [false, true], [0, 1, 2])
  func splitsAreJoined(fine: Bool, lowSize: Int) {
    var random = SplitMix(state: 3)
    for count in Self.counts where count > 0 {
      let quarter = (count + 3) / 4
      let middleSize = fine ? 3 * quarter : count
      let planes = (0..<count + middleSize + lowSize * count).map { _ in
        random.next() % 8 == 0 ? 0 : UInt8(truncatingIfNeeded: random.next())
      }
      let bias = fine ? UInt32(random.next() % 700) : 0
      let expected = (0..<count).map { i -> UInt32 in
        let middles = planes[count...]
        var middle = UInt32(middles[count + (fine ? i % quarter : i)])
        if fine {
          let (part, place) = (i / quarter, i % quarter)
          let three = (0..<3).map { UInt32(middles[count + $0 * quarter + place]) }
          middle = part < 3 ? three[part] & 63 : three[0] >> 6 | (three[1] >> 6) << 2 | (three[2] >> 6) << 4
        }
        let head = planes[i] == 0 ? 0 : UInt32(planes[i]) + bias
        let lows = planes[(count + middleSize)...]
        let low: UInt32 =
          switch lowSize {
          case 2: UInt32(lows[lows.startIndex + 2 * i]) | UInt32(lows[lows.startIndex + 2 * i + 1]) << 8
          case 1: UInt32(lows[lows.startIndex + i] & 7) << 13
          default: 0
          }
        let (headShift, mantissaBits): (UInt32, UInt32) = fine ? (21, 5) : (23, 7)
        let sign = middle >> mantissaBits
        let mantissa = middle & (1 << mantissaBits - 1)
        return sign << 31 | (head << headShift) & 0x7fff_ffff | mantissa << 16 | low
      }
      var output = Guarded([UInt8](repeating: 0, count: 4 * count))
      output.withWords { ck_split_join(planes, count, fine, bias, Int32(lowSize), $0) }
      #expect(output.bytes == Guarded(Self.bytes(of: expected)).bytes, "\(count) floats")
    }
  }

  /// - Parameter symbols: The upper bound of the buckets: few bits, all that encoding yields, or those that are never
  ///   written.
  @Test(arguments: [12, 40, 64, 256] as [UInt64], [0, 13, 16] as [UInt32])
  func differencesAreApplied(symbols: UInt64, dropped: UInt32) {
    var random = SplitMix(state: symbols)
    for count in Self.counts {
      let buckets = (0..<count).map { _ in UInt8(random.next() % symbols) }
      let size = (30 * count + 7) / 8 + Int(CK_DIFFERENCE_SLACK)
      let offsets = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let parent = (0..<count).map { _ in (UInt32(truncatingIfNeeded: random.next()) >> dropped) << dropped }

      var position = 0
      let expected = (0..<count).map { i -> UInt32 in
        let symbol = UInt32(buckets[i])
        var number = symbol < 4 ? symbol : 0
        if symbol >= 4 && symbol < 64 {
          let length = symbol / 2 - 1
          number = (2 + symbol % 2) << length
          for bit in 0..<length {
            number |= UInt32(offsets[position / 8] >> (position % 8) & 1) << bit
            position += 1
          }
        }
        let difference = number % 2 == 0 ? Int32(number / 2) : -1 - Int32(number / 2)
        let width = Int32(32 - dropped)
        // The sign and magnitude without the dropped bits, as a two's complement number of the same width.
        let magnitude = Int32(parent[i] & 0x7fff_ffff) >> Int32(dropped)
        let sum = (parent[i] >> 31 == 1 ? -1 - magnitude : magnitude) &+ difference
        let wrapped = (sum << (32 - width)) >> (32 - width)
        return wrapped < 0
          ? 0x8000_0000 | UInt32(-1 - wrapped) << dropped : UInt32(wrapped) << dropped
      }

      for portable in [false, true] {
        var bits = Guarded(Self.bytes(of: parent))
        bits.withWords { words in
          let end =
            portable
            ? ck_difference_apply_portable(buckets, offsets, 0, count, Int32(dropped), words)
            : ck_difference_apply(buckets, offsets, count, Int32(dropped), words)
          #expect(end == UInt64(position))
        }
        #expect(bits.bytes == Guarded(Self.bytes(of: expected)).bytes, "\(count) floats, portable: \(portable)")
      }
    }
  }
}
