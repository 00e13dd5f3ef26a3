import Foundation
import Tensors

/// Kinds of float a state may hold.
enum SampleState: CaseIterable {
  /// Any 32 bits, including every exponent and NaN of all payloads.
  case random
  /// ±0, ±∞, NaN, subnormals, and the largest and smallest numbers, repeated.
  case special
  /// Normally distributed numbers like those of trained weights, with some zeros.
  case trained
  case zero

  private static let specials: [UInt32] = [
    0, 0x8000_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x7f80_0001, 0xffff_ffff, 1, 0x8000_0001, 0x007f_ffff,
    0x0080_0000, 0x7f7f_ffff, 0xff7f_ffff, 0x3f80_0000, 0x3f7f_ffff, 0x477f_f000, 0x3300_0000, 0x3880_0000,
  ]

  func buffer(count: Int, seed: UInt64 = 0) throws -> FloatBuffer {
    var buffer = try FloatBuffer(count: count)
    let random = RandomSource(seed: seed, purpose: .synthesis)
    if self == .trained { random.fillNormal(buffer.mutableVector, batch: 0, deviation: 0.05) }
    for index in 0..<count {
      switch self {
      case .random: buffer[index] = Float(bitPattern: random.words(batch: 1, element: index).x)
      case .special: buffer[index] = Float(bitPattern: Self.specials[(index + Int(seed)) % Self.specials.count])
      case .trained: if index % 97 == 0 { buffer[index] = 0 }
      case .zero: break
      }
    }
    return buffer
  }
}

extension FloatBuffer {
  var bits: [UInt32] { (0..<count).map { self[$0].bitPattern } }

  /// A copy with normal numbers of the given deviation added.
  borrowing func moved(by deviation: Double) throws -> FloatBuffer {
    var result = try FloatBuffer(count: count)
    RandomSource(seed: 77, purpose: .synthesis).fillNormal(result.mutableVector, batch: 0, deviation: deviation)
    for index in 0..<count { result[index] += self[index] }
    return result
  }
}
