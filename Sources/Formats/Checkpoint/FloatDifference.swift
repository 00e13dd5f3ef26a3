import CKernels

/// Stores floats as their distances from a parent's floats, counted in representable floats.
///
/// The bits of a float, read as sign and magnitude, become an integer that is ordered as the float is; so two near
/// floats have a small difference, even across a power of two or zero. Differences wrap around at 32 bits, which
/// makes them reversible for all bit patterns. Zigzag coding (0, −1, 1, −2, ...) makes them unsigned, and each is
/// divided into a *bucket* and an offset in it: numbers below 4 are their own bucket; above, a bucket holds the
/// numbers with the same two leading bits, 2 buckets for each bit length, 64 in all (the slots of LZMA's distances).
/// Buckets become one byte each for the entropy coder; offsets are uniform to a good approximation and are packed
/// unchanged, least significant bit first.
enum FloatDifference {
  /// The largest number of bytes that filtering `count` floats writes, and that decoding reads.
  static func capacity(count: Int) -> Int { count + count * 4 + Int(CK_DIFFERENCE_SLACK) }

  /// Numbers are converted in blocks of this size, in vectorised loops over data that stay in the first-level cache.
  private static let block = 512

  /// The size in bytes of the scratch memory for `encode`.
  static let scratchSize = block * MemoryLayout<UInt32>.stride

  /// An integer that is ordered as the float with these bits is (NaN beyond the infinities).
  @inline(__always)
  private static func ordered(_ bits: UInt32) -> Int32 {
    let signed = Int32(bitPattern: bits)
    return signed ^ (signed >> 31 & 0x7fff_ffff)
  }

  /// The differences of `count` floats from their parents, in zigzag coding.
  private static func convert(
    _ bits: UnsafePointer<UInt32>, _ parent: UnsafePointer<UInt32>, _ count: Int, _ dropped: Int32,
    into numbers: UnsafeMutablePointer<UInt32>
  ) {
    for i in 0..<count {
      let difference = (ordered(bits[i]) &>> dropped) &- (ordered(parent[i]) &>> dropped)
      numbers[i] = UInt32(bitPattern: difference << 1 ^ difference >> 31)
    }
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
      convert(bits + start, parent + start, length, dropped, into: numbers)
      let buckets = output + start
      for i in 0..<length {
        let number = numbers[i]
        // With |2, the numbers 0 ... 3 have the same bit length of two, and no offset.
        let size = UInt32(truncatingIfNeeded: 30 &- (number | 2).leadingZeroBitCount)
        buckets[i] = UInt8(truncatingIfNeeded: size << 1 &+ number &>> size)
        pending |= UInt64(number & (1 &<< size &- 1)) &<< filled
        filled &+= UInt64(size)
        offsets.storeBytes(of: pending, toByteOffset: position, as: UInt64.self)
        // Whole bytes are written. Fewer than 8 bits stay, so 30 more always fit.
        position &+= Int(truncatingIfNeeded: filled >> 3)
        pending &>>= filled & ~7
        filled &= 7
      }
    }
    return count + position + (filled > 0 ? 1 : 0)
  }

  /// Overwrites the parent's floats with those that were given to `encode`.
  /// - Parameter input: `capacity(count:)` bytes of memory, whose first `size` bytes are the filtered ones. Any bytes
  ///   can be decoded safely: if buckets require more offsets than there are, the bytes after them are read.
  /// - Returns: Whether `size` matches the buckets.
  static func decode(
    _ input: UnsafePointer<UInt8>, size: Int, count: Int, precision: CheckpointPrecision,
    over bits: UnsafeMutablePointer<UInt32>
  ) -> Bool {
    guard size >= count else { return false }
    let offsetBits = ck_difference_apply(input, input + count, count, Int32(precision.droppedBits), bits)
    return count + Int(offsetBits + 7) / 8 == size
  }
}
