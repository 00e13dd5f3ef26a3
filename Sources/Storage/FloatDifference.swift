/// Stores floats as their distance from a parent's, counted in representable floats.
///
/// A float's bits, read as sign and magnitude, become an integer that orders as the float does; so two near floats have a
/// small difference, also across a power of two or zero. Differences wrap around at 32 bits, which makes them reversible
/// for all bit patterns. Zigzag coding (0, −1, 1, −2, ...) makes them unsigned, and each is parted into a *bucket* and
/// an offset in it: numbers below 4 are their own bucket; above, a bucket holds the numbers that share their two leading
/// bits, 2 for each bit length, 64 in all (the slots of LZMA's distances). Buckets become a byte each for the entropy
/// coder; offsets are uniform to a good approximation and packed as they are, least significant bit first.
enum FloatDifference {
  /// Bytes that filtering `count` floats fills at most, and reads at most when it decodes.
  static func capacity(count: Int) -> Int { count + count * 4 + 8 }

  /// Numbers are converted this many at a time, in vectorised loops over a block that stays in the first-level cache.
  private static let block = 512

  /// Room that `encode` and `decode` need.
  static let scratchSize = block * MemoryLayout<UInt32>.stride

  /// An integer that orders as the float with these bits does (NaN beyond the infinities).
  @inline(__always)
  private static func ordered(_ bits: UInt32) -> Int32 {
    let signed = Int32(bitPattern: bits)
    return signed ^ (signed >> 31 & 0x7fff_ffff)
  }

  /// Filters `count` floats.
  /// - Returns: The bytes written: `count` buckets, then the offsets.
  static func encode(
    _ bits: UnsafePointer<UInt32>, parent: UnsafePointer<UInt32>, count: Int, precision: CheckpointPrecision,
    into output: UnsafeMutablePointer<UInt8>, scratch numbers: UnsafeMutablePointer<UInt32>
  ) -> Int {
    let dropped = Int32(precision.droppedBits)
    let offsets = UnsafeMutableRawPointer(output + count)
    var position = 0
    var pending: UInt64 = 0
    var filled: UInt64 = 0
    for start in stride(from: 0, to: count, by: block) {
      let length = min(block, count - start)
      for i in 0..<length {
        let difference = (ordered(bits[start + i]) &>> dropped) &- (ordered(parent[start + i]) &>> dropped)
        numbers[i] = UInt32(bitPattern: difference << 1 ^ difference >> 31)
      }
      for i in 0..<length {
        let number = numbers[i]
        // |2 gives 0 ... 3 the same two bits of length, and no offset.
        let size = UInt32(30 &- (number | 2).leadingZeroBitCount)
        output[start + i] = UInt8(truncatingIfNeeded: size << 1 &+ number &>> size)
        pending |= UInt64(number & (1 &<< size &- 1)) &<< filled
        filled &+= UInt64(size)
        offsets.storeBytes(of: pending, toByteOffset: position, as: UInt64.self)
        // Whole bytes leave; fewer than 8 bits stay, and 30 more always fit.
        position &+= Int(filled >> 3)
        pending &>>= filled & ~7
        filled &= 7
      }
    }
    return count + position + (filled > 0 ? 1 : 0)
  }

  /// Overwrites the parent's floats by those that `encode` was given.
  /// - Parameter input: `capacity(count:)` readable bytes of which the first `size` are the filtered ones. Any bytes can
  ///   be decoded safely.
  /// - Returns: Whether `size` is what the buckets say.
  static func decode(
    _ input: UnsafePointer<UInt8>, size: Int, count: Int, precision: CheckpointPrecision,
    over bits: UnsafeMutablePointer<UInt32>, scratch numbers: UnsafeMutablePointer<UInt32>
  ) -> Bool {
    let dropped = Int32(precision.droppedBits)
    let offsets = UnsafeRawPointer(input + count)
    var position = 0
    for start in stride(from: 0, to: count, by: block) {
      let length = min(block, count - start)
      for i in 0..<length {
        let bucket = UInt32(input[start + i] & 63)
        let size = bucket < 4 ? 0 : bucket >> 1 &- 1
        let word = offsets.loadUnaligned(fromByteOffset: position >> 3, as: UInt64.self) &>> UInt64(position & 7)
        numbers[i] = (bucket &- size << 1) &<< size | UInt32(truncatingIfNeeded: word) & (1 &<< size &- 1)
        position &+= Int(size)
      }
      for i in 0..<length {
        let number = numbers[i]
        let difference = Int32(bitPattern: number >> 1) ^ (0 &- Int32(bitPattern: number & 1))
        let value = ((ordered(bits[start + i]) &>> dropped) &+ difference) &<< dropped
        // Of a negative number all bits below the sign are inverted, those that were dropped by the shift among them.
        let inverted = value >> 31 & ((Int32.max &>> dropped) &<< dropped)
        bits[start + i] = UInt32(bitPattern: value ^ inverted)
      }
    }
    return count + (position + 7) / 8 == size
  }
}
