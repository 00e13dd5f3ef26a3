import Storage
import Testing

@Suite struct CheckpointPrecisionTests {
  /// Floats of every exponent and sign, with mantissas around ties, and random ones.
  static var patterns: [UInt32] {
    var patterns: [UInt32] = []
    for upper in UInt32(0)..<512 {
      for low: UInt32 in [
        0, 1, 0x0fff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x3000, 0x3001, 0x7fff, 0x8000, 0x8001, 0x1_7fff, 0x1_8000,
        0x3f_ffff, 0x40_0000, 0x7f_efff, 0x7f_f000, 0x7f_7fff, 0x7f_8000, 0x7f_ffff,
      ] { patterns.append(upper << 23 | low) }
    }
    var word: UInt32 = 1
    for _ in 0..<200_000 {
      word = word &* 1_664_525 &+ 1_013_904_223
      patterns.append(word)
    }
    return patterns
  }

  #if !(os(macOS) && arch(x86_64))
  @Test func float16AgreesWithTheLanguages() {
    for pattern in Self.patterns {
      let value = Float(bitPattern: pattern)
      let rounded = CheckpointPrecision.float16.rounded(value)
      let expected = Float(Float16(value))
      #expect(rounded.bitPattern == expected.bitPattern || (value.isNaN && rounded.isNaN), "\(pattern)")
    }
  }
  #endif

  @Test func bfloat16IsTheNearestWithTiesToEven() {
    for pattern in Self.patterns {
      let value = Float(bitPattern: pattern)
      let rounded = CheckpointPrecision.bfloat16.rounded(value)
      #expect(rounded.bitPattern & 0xffff == 0)
      if !value.isFinite {
        #expect(rounded == value || (value.isNaN && rounded.isNaN))
        continue
      }
      #expect(rounded.sign == value.sign)
      // The two candidates, as doubles; beyond the greatest finite one lies 2¹²⁸.
      func double(_ bits: UInt32) -> Double {
        let magnitude = bits & 0x7fff_ffff
        return magnitude == 0x7f80_0000 ? 0x1p128 : Double(Float(bitPattern: magnitude))
      }
      let (below, above) = (pattern & 0xffff_0000, pattern & 0xffff_0000 + 0x1_0000)
      let (down, up) = (double(pattern) - double(below), double(above) - double(pattern))
      let nearest = down < up || (down == up && below >> 16 & 1 == 0) ? below : above
      #expect(rounded.bitPattern == nearest)
    }
  }

  @Test func roundingTwiceChangesNothing() {
    for precision in CheckpointPrecision.allCases {
      for pattern in Self.patterns {
        let once = precision.rounded(Float(bitPattern: pattern))
        #expect(precision.rounded(once).bitPattern == once.bitPattern)
      }
    }
  }
}
