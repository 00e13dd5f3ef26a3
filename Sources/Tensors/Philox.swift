/// The counter-based generator Philox 4×32 with 10 rounds: a keyed bijection of 128-bit counters whose outputs pass
/// BigCrush, so that any random number can be made at once from its coordinates, in any order, on any lane.
///
/// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
public struct Philox4x32: Sendable {
  @usableFromInline let key: SIMD2<UInt32>

  public init(key: SIMD2<UInt32>) {
    self.key = key
  }

  /// Four random words for one counter.
  @inlinable public func block(_ counter: SIMD4<UInt32>) -> SIMD4<UInt32> {
    var c = counter
    var k = key
    for round in 0..<10 {
      if round > 0 { k = k &+ SIMD2(0x9E37_79B9, 0xBB67_AE85) }
      let a = UInt64(c.x) &* 0xD251_1F53
      let b = UInt64(c.z) &* 0xCD9E_8D57
      c = SIMD4(
        UInt32(truncatingIfNeeded: b >> 32) ^ c.y ^ k.x, UInt32(truncatingIfNeeded: b),
        UInt32(truncatingIfNeeded: a >> 32) ^ c.w ^ k.y, UInt32(truncatingIfNeeded: a))
    }
    return c
  }

}

/// Random numbers of a run, each a pure function of (seed, purpose, batch, example, element).
public struct RandomSource: Sendable {
  /// What numbers are drawn for. Purposes never share numbers. The raw values are part of what a seed means, so none may change.
  public enum Purpose: UInt32, Sendable {
    case initialization = 1
    case sampling = 2
    case shuffling = 3
    case synthesis = 4
    case evaluation = 5
    case augmentation = 6
    case dropout = 7
    case text = 8
    case splitting = 9
    case ordering = 10
  }

  private let philox: Philox4x32
  private let purpose: UInt32

  public init(seed: UInt64, purpose: Purpose) {
    philox = Philox4x32(key: SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
    self.purpose = purpose.rawValue
  }

  /// Four random words. The counter's words are element, example, the low 32 bits of batch, and its next 24 bits with the purpose.
  public func words(batch: Int, example: Int = 0, element: Int = 0) -> SIMD4<UInt32> {
    var counter = stream(batch: batch, example: example).counter
    counter.x = UInt32(truncatingIfNeeded: element)
    return philox.block(counter)
  }

  /// The generator's key, and the counter of element 0, for kernels that make many numbers at once.
  func stream(batch: Int, example: Int) -> (key: SIMD2<UInt32>, counter: SIMD4<UInt32>) {
    (
      philox.key,
      SIMD4(
        0, UInt32(truncatingIfNeeded: example), UInt32(truncatingIfNeeded: batch),
        UInt32(truncatingIfNeeded: batch >> 32) << 8 | purpose)
    )
  }

  /// An integer in 0 ..< bound, from 64 random bits by a multiplication; its bias is below bound / 2⁶⁴.
  public func index(below bound: Int, batch: Int, example: Int) -> Int {
    let w = words(batch: batch, example: example)
    let bits = UInt64(w.x) << 32 | UInt64(w.y)
    return Int(bits.multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// A number in 0 ..< 1, from 53 random bits.
  public func uniform(batch: Int) -> Double {
    let w = words(batch: batch)
    return Double((UInt64(w.x) << 32 | UInt64(w.y)) >> 11) * 0x1p-53
  }

  /// Fills `vector` with normal numbers of mean 0 and the given standard deviation (Box and Muller 1958, in double
  /// precision, four numbers a block).
  /// - Parameter first: The place of the vector's first number among those of the batch, a multiple of 4.
  public func fillNormal(_ vector: MutableVector, batch: Int, first: Int = 0, deviation: Double) {
    precondition(first.isMultiple(of: 4), "numbers are made in blocks of four")
    var index = 0
    while index < vector.count {
      let normals = Self.normals(words(batch: batch, element: (first + index) / 4))
      for lane in 0..<min(4, vector.count - index) { vector[index + lane] = Float(normals[lane] * deviation) }
      index += 4
    }
  }

  /// Four standard normal numbers from four words.
  public static func normals(_ words: SIMD4<UInt32>) -> SIMD4<Double> {
    func pair(_ a: UInt32, _ b: UInt32) -> (Double, Double) {
      let radius = (-2 * Elementary.log((Double(a) + 1) / 0x1p32)).squareRoot()
      let (sine, cosine) = Elementary.sineAndCosine(turns: Double(b) / 0x1p32)
      return (radius * cosine, radius * sine)
    }
    let (x, y) = pair(words.x, words.y)
    let (z, w) = pair(words.z, words.w)
    return SIMD4(x, y, z, w)
  }
}
