/// The precision in which the floats of a checkpoint's section are stored. Raw values are part of the file format.
public enum CheckpointPrecision: UInt32, Sendable, CaseIterable {
  /// Stores every bit, including NaN payloads.
  case float32 = 0
  /// Stores the upper 16 bits: sign, 8 bits of exponent, 7 of mantissa.
  case bfloat16 = 1
  /// IEEE 754 binary16: sign, 5 bits of exponent, 10 of mantissa. Magnitudes from 65520 become infinite.
  case float16 = 2

  /// The number of low bits of a rounded float32 that are always zero.
  var droppedBits: UInt32 {
    switch self {
    case .float32: 0
    case .bfloat16: 16
    case .float16: 13
    }
  }

  /// The nearest float of this precision, with ties to even, as float32. Zeros keep their sign, infinities and NaN
  /// stay what they are, and rounding twice changes nothing.
  public func rounded(_ value: Float) -> Float { Float(bitPattern: rounded(value.bitPattern)) }

  @inline(__always)
  func rounded(_ bits: UInt32) -> UInt32 {
    let magnitude = bits & 0x7fff_ffff
    switch self {
    case .float32:
      return bits
    case .bfloat16:
      // A NaN whose payload lies in the low bits could round to infinity, so it is kept as a quiet NaN.
      if magnitude > 0x7f80_0000 { return bits & 0xffff_0000 | 0x0040_0000 }
      return (bits &+ 0x7fff &+ bits >> 16 & 1) & 0xffff_0000
    case .float16:
      let sign = bits & 0x8000_0000
      if magnitude > 0x7f80_0000 { return bits & 0xffff_e000 | 0x0040_0000 }
      // Below 2⁻¹⁴ binary16 has the fixed step 2⁻²⁴, which is float32's own step at 1/2: adding 1/2 rounds.
      if magnitude < 0x3880_0000 { return sign | (Float(bitPattern: magnitude) + 0.5 - 0.5).bitPattern }
      let nearest = (magnitude &+ 0xfff &+ magnitude >> 13 & 1) & 0xffff_e000
      return sign | (nearest > 0x477f_e000 ? 0x7f80_0000 : nearest)
    }
  }
}

extension CheckpointPrecision: CustomStringConvertible {
  public var description: String {
    switch self {
    case .float32: "float32"
    case .bfloat16: "bfloat16"
    case .float16: "float16"
    }
  }

  /// - Returns: nil if no precision has this name.
  public init?(name: String) {
    guard let precision = Self.allCases.first(where: { $0.description == name }) else { return nil }
    self = precision
  }
}

/// Consecutive floats of a training state that are stored in the same precision.
public struct CheckpointSection: Hashable, Sendable {
  /// The number of floats.
  public let count: Int
  public let precision: CheckpointPrecision

  public init(count: Int, precision: CheckpointPrecision) {
    precondition(count >= 0, "a section has no negative length")
    self.count = count
    self.precision = precision
  }
}
