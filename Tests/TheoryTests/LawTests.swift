import TestSupport
import Testing

import Theory

/// Predictions compared with sums over everything that can happen.
@Suite struct LawTests {
  /// All 32⁴ batches of the regression, each update written out in plain loops.
  @Test(arguments: [0.05, 0.2, 0.5]) func leastSquaresLawIsThatOfAllBatches(rate: Double) {
    let problem = LeastSquares(learningRate: Float(rate))
    let law = problem.law
    let examples = ExamplePopulation { a, noise in a.x - 2 * a.y + 0.5 * noise }.examples
    let points = examples.map { (Double($0.a.x), Double($0.a.y), Double($0.y)) }
    let factor = Double(Float(rate)) / 4
    let sigma = law.covariance
    var next = [0.0, 0.0, 0.0, 0.0]
    var mean = [0.0, 0.0]
    var change = 0.0
    for i in points { for j in points { for k in points { for l in points {
      var (h11, h12, h22, g1, g2) = (0.0, 0.0, 0.0, 0.0, 0.0)
      for (x, z, y) in [i, j, k, l] {
        h11 += x * x
        h12 += x * z
        h22 += z * z
        g1 += x * y
        g2 += z * y
      }
      let (a, b, d) = (1 - factor * h11, -factor * h12, 1 - factor * h22)
      let m1 = a * law.mean[0] + b * law.mean[1] + factor * g1 - law.mean[0]
      let m2 = b * law.mean[0] + d * law.mean[1] + factor * g2 - law.mean[1]
      mean[0] += m1
      mean[1] += m2
      // A Σ A, A being symmetric, and b bᵀ.
      let (p, q) = (a * sigma[0] + b * sigma[2], a * sigma[1] + b * sigma[3])
      let (r, s) = (b * sigma[0] + d * sigma[2], b * sigma[1] + d * sigma[3])
      next[0] += p * a + q * b + m1 * m1
      next[1] += p * b + q * d + m1 * m2
      next[2] += r * a + s * b + m2 * m1
      next[3] += r * b + s * d + m2 * m2
      change += m1 * m1 + m2 * m2
      change += (a - 1) * ((a - 1) * sigma[0] + b * sigma[2]) + b * ((a - 1) * sigma[1] + b * sigma[3])
      change += b * (b * sigma[0] + (d - 1) * sigma[2]) + (d - 1) * (b * sigma[1] + (d - 1) * sigma[3])
    }}}}
    let count = 1_048_576.0
    for entry in 0..<4 { #expect(abs(next[entry] / count - sigma[entry]) < 1e-8 * (sigma[0] + sigma[3]), "entry \(entry)") }
    for entry in mean { #expect(abs(entry / count) < 1e-8) }
    #expect(abs(change / count / law.squaredChange - 1) < 1e-7)
    #expect(law.contraction < 1 && sigma[0] > 0 && sigma[0] * sigma[3] > sigma[1] * sigma[1])
  }

  @Test func linearSystemsAreSolved() {
    let matrix = SquareMatrix(order: 3, [0, 2, 1, 1, -1, 0, 3, 0, -2])
    let solution = matrix.solution(of: [5, -1, -4])
    for (product, right) in zip(matrix.times(solution), [5.0, -1, -4]) { #expect(abs(product - right) < 1e-12) }
    // Row by row, (A ⊗ B) M is A M Bᵀ.
    let (a, b) = (SquareMatrix(order: 2, [1, 2, 3, 4]), SquareMatrix(order: 2, [0, 1, -1, 5]))
    let m = SquareMatrix(order: 2, [2, 7, 1, 8])
    let transposed = SquareMatrix(order: 2, [0, -1, 1, 5])
    #expect(a.kronecker(b).times(m.values) == a.times(m).times(transposed).values)
  }

  /// The distribution function of the Bernoulli convolution compared with all 2²⁰ sums of its first twenty terms.
  @Test(arguments: [0.3, 0.45, 0.5, 0.6, 0.9]) func bernoulliDistributionIsThatOfAllSums(rate: Double) {
    let problem = BernoulliConvolution(learningRate: Float(rate))
    let distribution = problem.distribution
    let eta = Double(Float(rate))
    var sums = [0.0]
    var term = eta
    for _ in 0..<20 {
      sums = sums.flatMap { [$0 - term, $0 + term] }
      term *= 1 - eta
    }
    sums.sort()
    // The terms that are left out add up to this at most.
    let rest = term / eta
    for place in stride(from: -1.05, through: 1.05, by: 0.0371) {
      let below = Double(sums.count { $0 <= place - rest }) / Double(sums.count)
      let above = Double(sums.count { $0 <= place + rest }) / Double(sums.count)
      #expect(distribution(place) >= below - 1e-4 && distribution(place) <= above + 1e-4, "\(place): \(distribution(place))")
    }
    if rate == 0.5 { #expect(abs(distribution(0.25) - 0.625) < 1e-12) }
  }

  /// The law of the watershed, by following the inverse of random updates in plain arithmetic.
  @Test(arguments: [0.05, 0.1, 0.35]) func changesOfWellsAreThoseOfTheWatershed(rate: Double) {
    var random = SplitMix(state: 5)
    let eta = Double(Float(rate))
    let force = eta * Double(Float(0.2))
    var (u, changes) = (0.0, 0)
    let trials = 400_000
    for trial in 0..<trials + 1000 {
      let sign = random.next() & 1 == 0 ? 1.0 : -1.0
      // The point that the update takes to u, by Newton's method; the map rises throughout.
      var v = u
      for _ in 0..<30 { v -= (v - eta * (v * v * v - v) + force * sign - u) / (1 - eta * (3 * v * v - 1)) }
      if trial >= 1000, (u < 0) != (v < 0) { changes += 1 }
      u = v
    }
    let share = Double(changes) / Double(trials)
    // Changes of neighbours depend on each other; ten times the error of independent ones is more than enough.
    let error = (share * (1 - share) / Double(trials)).squareRoot()
    #expect(abs(DoubleWell(learningRate: Float(rate)).changeProbability - share) < 10 * error, "\(share)")
  }
}

