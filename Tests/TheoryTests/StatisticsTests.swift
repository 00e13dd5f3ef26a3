import Foundation
import TestSupport
import Testing

import Theory

/// Distributions compared with SciPy's, whose values `Tests/Fixtures/make_statistics.py` writes.
@Suite struct StatisticsTests {
  private struct Fixture: Decodable {
    struct Normal: Decodable { let x, below, outside: Double }
    struct Deviation: Decodable { let probability, x: Double }
    struct ChiSquare: Decodable { let freedom, x, below, above: Double }
    struct Limit: Decodable { let x, above: Double }
    struct Exact: Decodable { let count: Int; let distance, above: Double }
    struct Samples: Decodable {
      let a, b: [Double]
      let toNormal, toEachOther, mean, variance, standardError, covariance: Double
    }
    let normal: [Normal]
    let deviations: [Deviation]
    let chiSquare: [ChiSquare]
    let kolmogorov: [Limit]
    let exact: [Exact]
    let samples: Samples
  }

  private let fixture: Fixture

  init() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/statistics.json")
    fixture = try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: file))
  }

  private func expectNear(_ value: Double, _ expected: Double, within tolerance: Double, _ what: String) {
    #expect(abs(value - expected) <= tolerance * abs(expected), "\(what): \(value) instead of \(expected)")
  }

  @Test func normalDistribution() {
    for row in fixture.normal {
      expectNear(NormalDistribution.probability(below: row.x), row.below, within: 1e-13, "P(Z ≤ \(row.x))")
      expectNear(NormalDistribution.probability(outside: row.x), row.outside, within: 1e-13, "P(|Z| ≥ \(row.x))")
    }
    for row in fixture.deviations {
      expectNear(NormalDistribution.deviation(exceededWith: row.probability), row.x, within: 1e-12, "deviation of \(row.probability)")
    }
    #expect(NormalDistribution.deviation(exceededWith: 0) == .infinity)
  }

  @Test func chiSquareDistribution() {
    for row in fixture.chiSquare {
      let law = ChiSquareDistribution(freedom: row.freedom)
      let what = "χ² of \(row.freedom) at \(row.x)"
      expectNear(law.probability(below: row.x), row.below, within: 1e-10, what)
      expectNear(law.probability(above: row.x), row.above, within: 1e-9, what)
      expectNear(law.quantile(exceededWith: row.above), row.x, within: 1e-9, "quantile of \(what)")
    }
  }

  @Test func kolmogorovDistribution() {
    for row in fixture.kolmogorov {
      expectNear(KolmogorovSmirnov.limitProbability(above: row.x), row.above, within: 1e-12, "P(K > \(row.x))")
    }
    for row in fixture.exact {
      let probability = KolmogorovSmirnov.probability(above: row.distance, effectiveCount: Double(row.count))
      expectNear(probability, row.above, within: 0.05, "P(D > \(row.distance)) of \(row.count)")
      let distance = KolmogorovSmirnov.distance(exceededWith: probability, effectiveCount: Double(row.count))
      expectNear(distance, row.distance, within: 1e-10, "the distance of \(probability)")
    }
  }

  @Test func distancesAndEstimatesOfSamples() {
    let samples = fixture.samples
    let one = KolmogorovSmirnov(samples.a, law: NormalDistribution.probability(below:))
    let two = KolmogorovSmirnov(samples.a, samples.b)
    expectNear(one.distance, samples.toNormal, within: 1e-12, "the distance to the normal law")
    expectNear(two.distance, samples.toEachOther, within: 1e-12, "the distance of two samples")
    #expect(two.effectiveCount == 60.0 * 45 / 105)
    let mean = SampleEstimate.mean(of: samples.a)
    expectNear(mean.value, samples.mean, within: 1e-12, "the mean")
    expectNear(mean.standardError, samples.standardError, within: 1e-12, "its standard error")
    expectNear(SampleEstimate.variance(of: samples.a).value, samples.variance, within: 1e-12, "the variance")
    expectNear(SampleEstimate.covariance(of: Array(samples.a[..<45]), samples.b).value, samples.covariance, within: 1e-12, "the covariance")
  }

  /// A standard error is how much an estimate varies from sample to sample.
  @Test func standardErrorsAreTheSpreadOfEstimates() {
    var random = SplitMix(state: 3)
    // Exponential numbers, which are far from normal.
    func numbers() -> [Double] { (0..<400).map { _ in -log(Double.random(in: Double.leastNonzeroMagnitude..<1, using: &random)) } }
    var estimates: [String: [SampleEstimate]] = [:]
    for _ in 0..<2000 {
      let (a, b) = (numbers(), numbers())
      let c = zip(a, b).map { $0 + 0.5 * $1 }
      estimates["mean", default: []].append(.mean(of: a))
      estimates["variance", default: []].append(.variance(of: a))
      estimates["covariance", default: []].append(.covariance(of: a, c))
      estimates["ratio", default: []].append(.ratio(of: a, to: c))
      estimates["power", default: []].append(SampleEstimate.ratio(of: a, to: c).power(0.25))
    }
    for (name, estimates) in estimates {
      let spread = Moments(estimates.map(\.value)).variance.squareRoot()
      let told = Moments(estimates.map(\.standardError)).mean
      #expect(abs(told / spread - 1) < 0.12, "\(name): \(told) told, \(spread) seen")
    }
  }

  /// What rounding can explain is no distance; what it can't explain is all of it.
  @Test func roundingIsNoDistance() {
    let fine = (0..<1000).map { Double($0) / 1000 + 0.0005 }
    let coarse = fine.map { ($0 * 10).rounded() / 10 }
    func uniform(_ x: Double) -> Double { min(1, max(0, x)) }
    #expect(KolmogorovSmirnov(coarse, law: uniform).distance > 0.04)
    #expect(KolmogorovSmirnov(coarse, law: uniform, rounding: 0.05).distance < 0.002)
    #expect(KolmogorovSmirnov(coarse, fine).distance > 0.04)
    #expect(KolmogorovSmirnov(coarse, fine, rounding: 0.05).distance < 0.002)
    #expect(KolmogorovSmirnov(fine, fine.map { $0 + 0.3 }, rounding: 0.05).distance > 0.19)
  }
}
