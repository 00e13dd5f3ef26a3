/// Bit patterns of float32 numbers for testing rounding.
public enum FloatPatterns {
  /// Floats of every exponent and sign, with mantissas around ties, and random ones.
  public static var aroundTies: [UInt32] {
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
}
