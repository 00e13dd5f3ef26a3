import Formats
import TestSupport
import Testing

@Suite struct CheckpointPrecisionTests {
  #if !(os(macOS) && arch(x86_64))
  @Test func float16AgreesWithTheLanguages() {
    for pattern in FloatPatterns.aroundTies {
      let value = Float(bitPattern: pattern)
      let rounded = CheckpointPrecision.float16.rounded(value)
      let expected = Float(Float16(value))
      #expect(rounded.bitPattern == expected.bitPattern || (value.isNaN && rounded.isNaN), "\(pattern)")
    }
  }
  #endif

  @Test func bfloat16IsTheNearestWithTiesToEven() {
    for pattern in FloatPatterns.aroundTies {
      let value = Float(bitPattern: pattern)
      let rounded = CheckpointPrecision.bfloat16.rounded(value)
      #expect(rounded.bitPattern & 0xffff == 0)
      if !value.isFinite {
        #expect(rounded == value || (value.isNaN && rounded.isNaN))
        continue
      }
      #expect(rounded.sign == value.sign)
      // The two candidates are compared as doubles. Beyond the largest finite one the next is 2¹²⁸.
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
      for pattern in FloatPatterns.aroundTies {
        let once = precision.rounded(Float(bitPattern: pattern))
        #expect(precision.rounded(once).bitPattern == once.bitPattern)
      }
    }
  }
}
