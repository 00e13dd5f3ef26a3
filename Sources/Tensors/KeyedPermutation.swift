/// A pseudo-random permutation of 0 ..< count. Each value is computed on its own, in constant expected time and
/// without a table.
///
/// An index of w bits, enough for `count` and at least 8, is divided into a left part of ⌊w/2⌋ bits and a right part
/// of the others. Ten rounds of a Feistel network replace one part after the other by its exclusive or with a keyed
/// hash of the other, which permutes 0 ..< 2ʷ. A result that is not below `count` is permuted again until one is
/// ("cycle walking"), which permutes 0 ..< count; from 128 on, 2ʷ < 2 · count, so that fewer than two passes are
/// expected.
///
/// The hash of a round with the keys a, b is bits 32 and up of a · x + b modulo 2⁶⁴, for which any two hashes are
/// independent over random keys. Over two million keys, the values at two and at three places are uniform for each
/// count tried, 2 to 100; with narrower parts or fewer rounds they are not. This is not a cipher: it shuffles but
/// hides nothing.
///
/// - Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002, sections 3 and 4.
/// - Dietzfelbinger, "Universal hashing and k-wise independent random variables via integer arithmetic without primes",
///   STACS 1996.
public struct KeyedPermutation: Sendable {
  /// The number of permuted integers.
  public let count: Int

  private let rightBits: UInt64
  private let leftMask: UInt64
  private let rightMask: UInt64
  /// The keys a and b of each round.
  private let keys: InlineArray<20, UInt64>

  /// Makes permutation number `index` of `source`.
  public init(count: Int, source: RandomSource, index: Int) {
    precondition(count > 0, "there is no permutation of \(count) integers")
    self.count = count
    let bits = UInt64(max(8, Int.bitWidth - (count - 1).leadingZeroBitCount))
    rightBits = bits - bits / 2
    leftMask = 1 << (bits / 2) - 1
    rightMask = 1 << rightBits - 1
    // SplitMix64 derives the keys from one block of random words, which is many times faster than drawing more
    // blocks.
    let words = source.words(batch: index)
    var state = UInt64(words.x) << 32 | UInt64(words.y)
    let step = UInt64(words.z) << 32 | UInt64(words.w) | 1
    keys = InlineArray { _ in
      state &+= step
      return Self.mix(state)
    }
  }

  /// The image of `index`, which must be in 0 ..< `count`.
  public func callAsFunction(_ index: Int) -> Int {
    precondition(index >= 0 && index < count, "index outside the permutation")
    var value = UInt64(index)
    repeat { value = permuteBits(value) } while value >= UInt64(count)
    return Int(value)
  }

  /// The index whose image is `value`, which must be in 0 ..< `count`.
  public func index(of value: Int) -> Int {
    precondition(value >= 0 && value < count, "value outside the permutation")
    var index = UInt64(value)
    repeat { index = permuteBitsBack(index) } while index >= UInt64(count)
    return Int(index)
  }

  /// The inverse of `permuteBits`: its rounds from last to first.
  private func permuteBitsBack(_ value: UInt64) -> UInt64 {
    var left = value >> rightBits
    var right = value & rightMask
    for key in stride(from: 16, through: 0, by: -4) {
      right ^= (keys[key + 2] &* left &+ keys[key + 3]) >> 32 & rightMask
      left ^= (keys[key] &* right &+ keys[key + 1]) >> 32 & leftMask
    }
    return left << rightBits | right
  }

  /// The Feistel network, which permutes 0 ..< 2ʷ.
  private func permuteBits(_ value: UInt64) -> UInt64 {
    var left = value >> rightBits
    var right = value & rightMask
    for key in stride(from: 0, to: 20, by: 4) {
      left ^= (keys[key] &* right &+ keys[key + 1]) >> 32 & leftMask
      right ^= (keys[key + 2] &* left &+ keys[key + 3]) >> 32 & rightMask
    }
    return left << rightBits | right
  }

  /// The finishing function of SplitMix64, variant 13 of D. Stafford's mixers (Steele, Lea, Flood, "Fast splittable
  /// pseudorandom number generators", OOPSLA 2014).
  private static func mix(_ word: UInt64) -> UInt64 {
    var z = word
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
