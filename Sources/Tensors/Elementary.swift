import CKernels

/// Elementary functions whose bits are the same on every machine, which those of a C library are not: made of +, −, ×, ÷ and √ alone,
/// whose results IEEE 754 fixes. Whatever decides an iterate or an observation takes them from here.
///
/// Errors are in ulp, the distance of a result to its neighbour. NaN gives NaN.
public enum Elementary {
  /// eˣ, with an error below 1 ulp; 0 and ∞ where it leaves the range of numbers.
  public static func exp(_ x: Double) -> Double { ck_exponential(x) }

  /// ln x, with an error below 1 ulp: −∞ for 0, NaN for negative numbers.
  public static func log(_ x: Double) -> Double { ck_logarithm(x) }

  /// ln (1 + x) for x from 0 to 1, with an error below 1.5 ulp.
  public static func log(onePlus x: Double) -> Double { ck_logarithm_of_sum(x) }

  /// The sine and the cosine of 2π · turns, for turns from −2⁵⁰ to 2⁵⁰, with errors below 1 ulp. At quarters of a turn they are exact.
  public static func sineAndCosine(turns: Double) -> (sine: Double, cosine: Double) {
    var (sine, cosine) = (0.0, 0.0)
    ck_turn(turns, &sine, &cosine)
    return (sine, cosine)
  }

  /// xⁿ for n ≥ 0, by repeated squaring: its relative error is below n · 2⁻⁵².
  public static func power(_ x: Double, _ n: Int) -> Double { ck_whole_power(x, UInt64(n)) }

  /// xʸ for x ≥ 0: its relative error is below (1 + 2 |y ln x|) · 2⁻⁵².
  public static func power(_ x: Double, _ y: Double) -> Double { ck_power(x, y) }

  /// What exponentials and their arguments add up to: in parts of every sixteenth, and then the parts, each first to last.
  public struct ExponentialSums: Sendable {
    /// Σ exp(x − origin), in double precision.
    public let powers: Double
    /// The same in single precision.
    public let singlePowers: Float
    /// Σ x, in double precision.
    public let numbers: Double
  }

  /// The sums of exp(x − origin) and of x, where the exponentials have errors below 0.51 ulp of single precision.
  /// - Parameter powers: takes the exponentials; as long as x, or nil.
  public static func exponentialSums(_ x: Vector, minus origin: Float, powers: MutableVector? = nil) -> ExponentialSums {
    precondition(powers == nil || powers?.count == x.count)
    var sums = ck_exponential_sums()
    ck_exponentials(x.base, x.count, origin, powers?.base, &sums)
    return ExponentialSums(powers: sums.powers, singlePowers: sums.single_powers, numbers: sums.numbers)
  }
}

extension MutableVector {
  /// self ← exp(x − origin), element by element, with errors below 0.51 ulp; both have the same length.
  public func assignExponentials(of x: Vector, minus origin: Float) {
    precondition(count == x.count)
    ck_exponentials(x.base, count, origin, base, nil)
  }
}
