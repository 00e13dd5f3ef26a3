import Runs
import Tensors

/// θ ↦ (1 − η) θ + η x_j with x_j = ±1, each with probability ½.
///
/// The stationary law is that of Σ ± η (1 − η)^(j−1), a Bernoulli convolution (Jessen and Wintner 1935; Peres, Schlag, Solomyak 2000):
/// uniform on [−1, 1] for η = ½, concentrated on a Cantor set above, and for nearly all η below it has a density.
package struct BernoulliConvolution: ShrinkingExample {
  package static let formula = "θ ↦ (1 − η) θ + η x_j, with x_j = ±1"
  package static let usualLearningRate = 0.5
  package static let largestLearningRate = 0.95
  package static let mean = 0.0
  package static let largest = 1.0

  package let rate: Float
  package var seed = 0

  package init(learningRate: Float) { rate = learningRate }

  package func number(_ batch: Int, seed: Int) -> Float { fairSign(batch, seed: seed) }

  package var notes: [String] {
    let shape =
      rate == 0.5
      ? "uniform on [−1, 1]"
      : rate > 0.5 ? "concentrated on a Cantor set, since the images of [−1, 1] under the two maps do not meet" : "spread over [−1, 1]"
    return [
      "Forward converges to the law of Σ ±η (1 − η)^(j−1), a Bernoulli convolution: for this η \(shape). Its variance is η / (2 − η).",
      "Backward converges to one such sum at the rate 1 − η.",
    ]
  }

  package func claims(_ laboratory: Laboratory) async throws -> [Claim] {
    try await affineClaims(laboratory, law: distribution)
  }

  /// The distribution function of the stationary law, F(x) = ½ F((x − η) / (1 − η)) + ½ F((x + η) / (1 − η)).
  package var distribution: (Double) -> Double {
    let rate = Double(rate)
    // The images of [−1, 1] do not overlap, so that one of the two terms is 0 or 1, and the other is followed.
    if rate >= 0.5 { return { Self.separated($0, rate: rate) } }
    let table = InvariantDistribution(on: -1...1) { x in ((x - rate) / (1 - rate), (x + rate) / (1 - rate)) }
    return table.probability(below:)
  }

  private static func separated(_ x: Double, rate: Double) -> Double {
    var (x, sum, share) = (x, 0.0, 1.0)
    while share > 0x1p-53 {
      if x <= -1 { return sum }
      if x >= 1 { return sum + share }
      share /= 2
      if x > 0 { sum += share }
      x = (x > 0 ? x - rate : x + rate) / (1 - rate)
    }
    return sum
  }
}

/// ±1, each with probability ½: a function of seed and batch alone.
package func fairSign(_ batch: Int, seed: Int) -> Float {
  RandomSource(seed: UInt64(seed), purpose: .synthesis).words(batch: batch).x & 1 == 0 ? 1 : -1
}

/// The distribution function of the law that stays the same when one of two growing maps, each with probability ½, is applied to it:
/// F(x) = ½ F(f⁻¹(x)) + ½ F(g⁻¹(x)). It is found on a grid by applying the equation until nothing changes.
package struct InvariantDistribution {
  private let range: ClosedRange<Double>
  private var values: [Double]

  /// - Parameters:
  ///   - range: An interval that both maps take into itself.
  ///   - inverses: f⁻¹ and g⁻¹ at a point of the range. What they give may lie outside.
  package init(on range: ClosedRange<Double>, cells: Int = 1 << 14, inverses: (Double) -> (Double, Double)) {
    self.range = range
    values = (0...cells).map { Double($0) / Double(cells) }
    let width = range.upperBound - range.lowerBound
    let sources = (0...cells).map { inverses(range.lowerBound + width * Double($0) / Double(cells)) }
    for _ in 0..<10_000 {
      let next = sources.map { (probability(below: $0.0) + probability(below: $0.1)) / 2 }
      let change = zip(next, values).reduce(0) { max($0, abs($1.0 - $1.1)) }
      values = next
      if change < 1e-9 { break }
    }
  }

  package func probability(below x: Double) -> Double {
    let cells = Double(values.count - 1)
    let place = (x - range.lowerBound) / (range.upperBound - range.lowerBound) * cells
    guard place > 0 else { return 0 }
    guard place < cells else { return 1 }
    let cell = Int(place)
    return values[cell] + (place - Double(cell)) * (values[cell + 1] - values[cell])
  }
}
