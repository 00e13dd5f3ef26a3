import Foundation
import Tensors
import Testing

#if arch(x86_64)
  /// What references are computed in: 11 bits more than `Double` has.
  private typealias Wide = Float80
#else
  /// Without a wider type, references have errors of their own, which `slack` allows for.
  private typealias Wide = Double
#endif
private let slack = MemoryLayout<Wide>.size > 8 ? 0.0 : 1

/// Our functions against those of the C library in higher precision.
@Suite struct ElementaryTests {
  /// The distance of a result to the true value, in ulp; infinite where one of them alone is finite.
  private func error(_ found: Double, _ expected: Wide) -> Double {
    let nearest = Double(expected)
    guard found.isFinite, nearest.isFinite else { return found == nearest ? 0 : .infinity }
    return Double(abs(Wide(found) - expected) / Wide(max(nearest.ulp, .leastNonzeroMagnitude)))
  }

  /// Numbers evenly spread over a range, and none twice.
  private func points(_ range: ClosedRange<Double>, count: Int = 200_000) -> [Double] {
    let random = RandomSource(seed: 5, purpose: .synthesis)
    return (0..<count).map { range.lowerBound + (range.upperBound - range.lowerBound) * random.uniform(batch: $0) }
  }

  private func worst(_ points: [Double], _ function: (Double) -> Double, _ reference: (Wide) -> Wide) -> Double {
    points.reduce(0) { max($0, error(function($1), reference(Wide($1)))) }
  }

  @Test func exponentials() {
    for range in [-1.0...1, -50...50, -745...709, -1e-10...1e-10] {
      let worst = worst(points(range), { Elementary.exp($0) }) { exp($0) }
      #expect(worst < 1 + slack, "\(range)")
    }
    #expect(Elementary.exp(0) == 1 && Elementary.exp(-0.0) == 1)
    #expect(Elementary.exp(.infinity) == .infinity && Elementary.exp(710) == .infinity && Elementary.exp(1e300) == .infinity)
    #expect(Elementary.exp(-.infinity) == 0 && Elementary.exp(-746) == 0 && Elementary.exp(-1e300) == 0)
    #expect(Elementary.exp(-745) == .leastNonzeroMagnitude && Elementary.exp(709.78) < .infinity)
    #expect(Elementary.exp(.nan).isNaN)
  }

  @Test func logarithms() {
    for range in [0.5...2.0, 0.999...1.001, 1e-300...1e-290, 1e-320...1e-310, 0...1e300, 1...1e6] {
      let worst = worst(points(range), { Elementary.log($0) }) { log($0) }
      #expect(worst < 1 + slack, "\(range)")
    }
    #expect(Elementary.log(1) == 0 && Elementary.log(0) == -.infinity && Elementary.log(-0.0) == -.infinity)
    #expect(Elementary.log(.infinity) == .infinity)
    #expect(Elementary.log(-1).isNaN && Elementary.log(-.infinity).isNaN && Elementary.log(.nan).isNaN)
    #expect(error(Elementary.log(.leastNonzeroMagnitude), log(Wide(Double.leastNonzeroMagnitude))) < 1 + slack)
  }

  @Test func logarithmsOfSums() {
    for range in [0...1.0, 0...1e-3, 0...1e-15, 0...1e-300] {
      let worst = worst(points(range), { Elementary.log(onePlus: $0) }) { log1p($0) }
      #expect(worst < 1.5 + slack, "\(range)")
    }
    #expect(Elementary.log(onePlus: 0) == 0 && Elementary.log(onePlus: .nan).isNaN)
  }

  @Test func sinesAndCosines() {
    // Beyond an eighth of a turn, a reference would need π in more digits than it has: there turns are compared by symmetry.
    for range in [-0.125...0.125, -1e-8...1e-8] {
      let sines = worst(points(range), { Elementary.sineAndCosine(turns: $0).sine }) { sin(2 * Wide.pi * $0) }
      let cosines = worst(points(range), { Elementary.sineAndCosine(turns: $0).cosine }) { cos(2 * Wide.pi * $0) }
      #expect(sines < 1 + 2 * slack && cosines < 1 + 2 * slack, "\(range)")
    }
    for turns in points(-0.125...0.125, count: 10_000).map({ ($0 * 0x1p30).rounded() / 0x1p30 }) {
      let (sine, cosine) = Elementary.sineAndCosine(turns: turns)
      #expect(Elementary.sineAndCosine(turns: turns + 0.25) == (cosine, -sine))
      #expect(Elementary.sineAndCosine(turns: turns + 0.5) == (-sine, -cosine))
      #expect(Elementary.sineAndCosine(turns: turns - 0.25) == (-cosine, sine))
      #expect(Elementary.sineAndCosine(turns: turns + 1000) == (sine, cosine))
    }
    #expect(Elementary.sineAndCosine(turns: 0) == (0, 1) && Elementary.sineAndCosine(turns: 0.25) == (1, 0))
    #expect(Elementary.sineAndCosine(turns: 0.5) == (0, -1) && Elementary.sineAndCosine(turns: 0.75) == (-1, 0))
    #expect(Elementary.sineAndCosine(turns: .nan).sine.isNaN && Elementary.sineAndCosine(turns: .nan).cosine.isNaN)
  }

  @Test func powers() {
    let exponents = points(-40...40)
    for (x, y) in zip(points(1e-6...1), exponents) {
      let expected = pow(Wide(x), Wide(y))
      let bound = (1 + 2 * abs(y * log(x))) * 0x1p-52
      #expect(abs(Double((Wide(Elementary.power(x, y)) - expected) / expected)) < bound * (1 + slack))
    }
    for (place, x) in points(0.9...1.1, count: 2000).enumerated() {
      let expected = pow(Wide(x), Wide(place))
      let bound = Double(max(1, place)) * 0x1p-52
      #expect(abs(Double((Wide(Elementary.power(x, place)) - expected) / expected)) < bound * (1 + slack))
    }
    #expect(Elementary.power(0, 0.5) == 0 && Elementary.power(0, 0.0) == 1 && Elementary.power(1, 1000.5) == 1)
    #expect(Elementary.power(0.5, 3 as Int) == 0.125 && Elementary.power(0, 0 as Int) == 1 && Elementary.power(.nan, 1.5).isNaN)
  }

  /// Many exponentials at once and their sums, at every level of SIMD and at sizes that are no whole vectors.
  @Test(arguments: [0, 1, 15, 16, 17, 100, 1024])
  func exponentialsOfManyNumbers(count: Int) throws {
    var numbers = try FloatBuffer(count: count)
    RandomSource(seed: 2, purpose: .synthesis).fillNormal(numbers.mutableVector, batch: 0, deviation: 20)
    if count > 20 { numbers[20] = -.infinity }
    let origin: Float = 3
    var bits: Set<[UInt32]> = []
    var sums: Set<[UInt64]> = []
    try atEveryLevel { _ in
      var powers = try FloatBuffer(count: count)
      let sum = Elementary.exponentialSums(numbers.vector, minus: origin, powers: powers.mutableVector)
      var alone = try FloatBuffer(count: count)
      alone.mutableVector.assignExponentials(of: numbers.vector, minus: origin)
      var (total, single) = (0.0, Float(0))
      for i in 0..<count {
        let expected = exp(Wide(numbers[i] - origin))
        let unit = max(Float(expected).ulp, Float.leastNonzeroMagnitude)
        if Float(expected).isFinite { #expect(Double(abs(Wide(powers[i]) - expected)) / Double(unit) < 0.51) }
        #expect(alone[i] == powers[i])
        total += Double(powers[i])
        single += powers[i]
      }
      #expect(abs(sum.powers - total) <= 1e-13 * total)
      #expect(abs(sum.singlePowers - single) <= 1e-5 * single)
      bits.insert((0..<count).map { powers[$0].bitPattern })
      sums.insert([sum.powers.bitPattern, UInt64(sum.singlePowers.bitPattern), sum.numbers.bitPattern])
    }
    #expect(bits.count == 1 && sums.count == 1)
  }

  @Test func whatIsNoNumberStaysSo() throws {
    var numbers = try FloatBuffer(count: 20)
    (numbers[3], numbers[18], numbers[5], numbers[6]) = (.nan, .nan, .infinity, -.infinity)
    var powers = try FloatBuffer(count: 20)
    let sums = Elementary.exponentialSums(numbers.vector, minus: 0, powers: powers.mutableVector)
    #expect(powers[3].isNaN && powers[18].isNaN && powers[5] == .infinity && powers[6] == 0 && powers[0] == 1)
    #expect(sums.powers.isNaN && sums.singlePowers.isNaN && sums.numbers.isNaN)
  }
}
