import Tensors

/// A pseudo-random permutation of 0 ..< count whose every value is computed alone, in constant expected time and without
/// a table.
///
/// An index of w = ⌈log₂ count⌉ bits is cut into a left part of ⌊w/2⌋ bits and a right part of the others. Rounds of a
/// Feistel network replace one part after the other by its exclusive or with a keyed hash of the other part, which
/// permutes 0 ..< 2ʷ. A result that is not below `count` is put through again until one is ("cycle walking"), which
/// permutes 0 ..< count; as 2ʷ < 2 · count, that takes less than two passes on average.
///
/// Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002, sections 3 and 4.
public struct KeyedPermutation: Sendable {
  /// How many integers are permuted.
  public let count: Int

  private let rightBits: UInt64
  private let leftMask: UInt64
  private let rightMask: UInt64
  private let keys: InlineArray<12, UInt64>

  /// The permutation number `index` of `source`.
  public init(count: Int, source: RandomSource, index: Int) {
    precondition(count > 0, "there is no permutation of \(count) integers")
    self.count = count
    let bits = UInt64(Int.bitWidth - (count - 1).leadingZeroBitCount)
    rightBits = bits - bits / 2
    leftMask = 1 << (bits / 2) - 1
    rightMask = 1 << rightBits - 1
    keys = InlineArray { round in
      let words = source.words(batch: index, element: round / 2)
      return round.isMultiple(of: 2)
        ? UInt64(words.x) << 32 | UInt64(words.y) : UInt64(words.z) << 32 | UInt64(words.w)
    }
  }

  /// Where `index`, in 0 ..< `count`, is sent.
  public func callAsFunction(_ index: Int) -> Int {
    precondition(index >= 0 && index < count, "index outside the permutation")
    var value = UInt64(index)
    repeat { value = permuteBits(value) } while value >= UInt64(count)
    return Int(value)
  }

  /// The Feistel network over 0 ..< 2ʷ.
  private func permuteBits(_ value: UInt64) -> UInt64 {
    var left = value >> rightBits
    var right = value & rightMask
    for pair in 0..<6 {
      left ^= Self.mix(right ^ keys[2 * pair]) & leftMask
      right ^= Self.mix(left ^ keys[2 * pair + 1]) & rightMask
    }
    return left << rightBits | right
  }

  /// A hash of 64 bits in which each bit depends on all: variant 13 of D. Stafford's mixers, which finishes SplitMix64
  /// (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
  private static func mix(_ word: UInt64) -> UInt64 {
    var z = word
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
