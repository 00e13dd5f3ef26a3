import CKernels

/// Separates the predictable bits of floats from the random ones.
///
/// In trained states the exponent carries about 2.6 bits of information, the leading bits of the mantissa are
/// slightly uneven, and everything else is noise. The *head* of a float, its exponent and as many leading mantissa
/// bits as fit, becomes a byte of its own for the entropy coder. The sign and further mantissa bits are laid out in
/// planes that the coder finds incompressible and copies.
///
/// With `h` mantissa bits in the head (2 if the range of the frame's exponents allows it, otherwise 0):
///
///     head    = bits 23−h ... 30 of the float
///     symbol  = 0 where head = 0, head − base + 1 elsewhere; base is the frame's least head besides 0
///     middle  = the sign, then bits 16 ... 22−h:  6 or 8 bits
///     low     = bits 0 ... 15 (float32), bits 13 ... 15 in a byte (float16), nothing (bfloat16)
///
/// The planes follow one another: n symbols; the middles, as n bytes or, if they have 6 bits, four in three bytes;
/// the lows. No loop branches on a float's value, so that the compiler can vectorise it.
struct FloatSplit {
  /// Whether heads contain two mantissa bits.
  let isFine: Bool
  /// The head whose symbol is 1.
  let base: UInt32

  private var headShift: UInt32 { isFine ? 21 : 23 }

  init(isFine: Bool, base: UInt32) {
    self.isFine = isFine
    self.base = base
  }

  /// The finest split whose symbols fit in a byte.
  init(of bits: UnsafePointer<UInt32>, count: Int) {
    var least = UInt32.max
    var most: UInt32 = 0
    for i in 0..<count {
      let head = (bits[i] << 1) >> 22
      // A head of 0 wraps around, since it has a symbol of its own.
      least = min(least, head &- 1)
      most = max(most, head)
    }
    let base = most == 0 ? 1 : least &+ 1
    if most &- base &+ 1 <= 255 || most == 0 {
      self.init(isFine: true, base: base)
    } else {
      self.init(isFine: false, base: 1)
    }
  }

  /// The size in bytes of `count` filtered floats.
  func size(count: Int, precision: CheckpointPrecision) -> Int {
    let low =
      switch precision {
      case .float32: 2 * count
      case .bfloat16: 0
      case .float16: count
      }
    return count + (isFine ? 3 * Self.quarter(count) : count) + low
  }

  /// Six-bit middles from four quarters of a frame are packed into three bytes.
  private static func quarter(_ count: Int) -> Int { (count + 3) / 4 }

  /// Filters `count` floats into `size(count:precision:)` bytes.
  /// - Parameter scratch: Memory for `count + 3` bytes.
  func encode(
    _ bits: UnsafePointer<UInt32>, count: Int, precision: CheckpointPrecision, into output: UnsafeMutablePointer<UInt8>,
    scratch: UnsafeMutablePointer<UInt8>
  ) {
    let (shift, bias) = (headShift, base &- 1)
    for i in 0..<count {
      let head = (bits[i] << 1) &>> (shift + 1)
      output[i] = UInt8(truncatingIfNeeded: head == 0 ? 0 : head &- bias)
    }
    let middles = output + count
    var lows = middles + count
    if isFine {
      let quarter = Self.quarter(count)
      for i in 0..<count { scratch[i] = UInt8(truncatingIfNeeded: (bits[i] >> 31) << 5 | bits[i] >> 16 & 31) }
      for i in count..<4 * quarter { scratch[i] = 0 }
      for i in 0..<quarter {
        let last = scratch[i + 3 * quarter]
        middles[i] = scratch[i] | last << 6
        middles[i + quarter] = scratch[i + quarter] | (last >> 2) << 6
        middles[i + 2 * quarter] = scratch[i + 2 * quarter] | (last >> 4) << 6
      }
      lows = middles + 3 * quarter
    } else {
      for i in 0..<count { middles[i] = UInt8(truncatingIfNeeded: (bits[i] >> 31) << 7 | bits[i] >> 16 & 127) }
    }
    switch precision {
    case .float32:
      let words = UnsafeMutableRawPointer(lows)
      for i in 0..<count {
        words.storeBytes(of: UInt16(truncatingIfNeeded: bits[i]), toByteOffset: 2 &* i, as: UInt16.self)
      }
    case .bfloat16: break
    case .float16:
      for i in 0..<count { lows[i] = UInt8(truncatingIfNeeded: bits[i] >> 13 & 7) }
    }
  }

  /// The inverse of `encode`. Any bytes decode to some floats.
  func decode(
    _ input: UnsafePointer<UInt8>, count: Int, precision: CheckpointPrecision, into bits: UnsafeMutablePointer<UInt32>
  ) {
    let lowSize: Int32 =
      switch precision {
      case .float32: 2
      case .bfloat16: 0
      case .float16: 1
      }
    ck_split_join(input, count, isFine, base &- 1, lowSize, bits)
  }
}
