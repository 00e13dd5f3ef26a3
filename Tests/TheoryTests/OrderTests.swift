import Foundation
import Replay
import TestSupport
import Testing

import Theory

/// How far orders end from each other, compared with plain loops in double precision.
@Suite struct OrderTests {
  private typealias Vector = SIMD2<Double>

  private func problem(_ loss: PlaneRegression.Loss, seed: Int) -> PlaneRegression { PlaneRegression(loss, learningRate: 0.1).map(seed: seed) }

  private func batches(_ sequence: BatchSequence) -> [Int] { (0..<sequence.count).map { sequence[$0] } }

  /// Where a path ends, in double precision.
  private func end(of sequence: BatchSequence, _ problem: PlaneRegression, rate: Double) -> Vector {
    var displacement = Vector.zero
    for batch in batches(sequence) { displacement -= rate * problem.gradient(ofBatch: batch, at: problem.start + displacement) }
    return displacement
  }

  /// H_j v at the start by central differences of the gradient.
  private func hessian(ofBatch batch: Int, times v: Vector, _ problem: PlaneRegression) -> Vector {
    let step = 1e-5
    let (ahead, behind) = (problem.start + step * v, problem.start - step * v)
    return (problem.gradient(ofBatch: batch, at: ahead) - problem.gradient(ofBatch: batch, at: behind)) / (2 * step)
  }

  private func norm(_ v: Vector) -> Double { (v * v).sum().squareRoot() }

  /// L_j written out.
  private func value(_ loss: PlaneRegression.Loss, ofBatch batch: Int, seed: Int, at theta: Vector) -> Double {
    let population =
      loss == .leastSquares
      ? ExamplePopulation { a, noise in a.x - 2 * a.y + 0.5 * noise } : ExamplePopulation { a, noise in a.x - 2 * a.y + noise > 0 ? 1 : -1 }
    var sum = 0.0
    population.forEachExample(ofBatch: batch, seed: seed) { example in
      let product = Double(example.a.x) * theta.x + Double(example.a.y) * theta.y
      let y = Double(example.y)
      sum += loss == .leastSquares ? (product - y) * (product - y) / 2 : log(1 + exp(-y * product))
    }
    return sum / 4 + (loss == .leastSquares ? 0 : 0.25 * (theta.x * theta.x + theta.y * theta.y))
  }

  @Test(arguments: PlaneRegression.Loss.allCases) func gradientsAreDifferencesOfTheLoss(loss: PlaneRegression.Loss) {
    let step = 1e-5
    for seed in 0..<20 {
      for theta in [problem(loss, seed: seed).start, Vector(-0.7, 1.3)] {
        let gradient = problem(loss, seed: seed).gradient(ofBatch: 3, at: theta)
        for (axis, along) in [Vector(step, 0), Vector(0, step)].enumerated() {
          let (ahead, behind) = (value(loss, ofBatch: 3, seed: seed, at: theta + along), value(loss, ofBatch: 3, seed: seed, at: theta - along))
          #expect(abs(gradient[axis] - (ahead - behind) / (2 * step)) < 1e-8)
        }
      }
    }
  }

  /// The bracket of two updates: its sign and its size.
  @Test(arguments: PlaneRegression.Loss.allCases) func bracketIsThatOfFiniteDifferences(loss: PlaneRegression.Loss) throws {
    let pair = try #require(OrderComparison(passLength: 4, seed: 0).pairs(.bracket).first)
    // g₁∘g₂ applies batch 2 first.
    #expect(batches(pair.one) == [2, 1] && batches(pair.other) == [1, 2])
    for seed in 0..<50 {
      let problem = problem(loss, seed: seed)
      let (g1, g2) = (problem.gradient(ofBatch: 1, at: problem.start), problem.gradient(ofBatch: 2, at: problem.start))
      let bracket = hessian(ofBatch: 1, times: g2, problem) - hessian(ofBatch: 2, times: g1, problem)
      let derivatives = (1...2).map(problem.derivatives(ofBatch:))
      let (one, other) = (PathExpansion(of: pair.one, derivatives), PathExpansion(of: pair.other, derivatives))
      #expect(norm(one.second - other.second - bracket) < 1e-8 * (1 + norm(bracket)))
      #expect(one.first == other.first)
      let rate = 1e-3
      let measured = (end(of: pair.one, problem, rate: rate) - end(of: pair.other, problem, rate: rate)) / (rate * rate)
      #expect(norm(measured - bracket) < 5e-3 * norm(g1 + g2) + 1e-8, "\(measured), but \(bracket)")
    }
  }

  /// Two orders of a pass differ by the brackets of what stands the other way round; two of a pass and its reverse by none.
  @Test(arguments: PlaneRegression.Loss.allCases) func permutationsDifferByBrackets(loss: PlaneRegression.Loss) {
    let comparison = OrderComparison(passLength: 6, seed: 3)
    let paired = comparison.pairs(.paired)
    for (pair, double) in zip(comparison.pairs(.permuted), paired) {
      let (one, other) = (batches(pair.one), batches(pair.other))
      #expect(one.sorted() == Array(1...6) && other.sorted() == Array(1...6) && one != other)
      #expect(batches(double.one) == one + one.reversed() && batches(double.other) == other + other.reversed())
      for seed in 0..<10 {
        let problem = problem(loss, seed: seed)
        let gradients = (0...6).map { problem.gradient(ofBatch: max(1, $0), at: problem.start) }
        var brackets = Vector.zero
        for (place, i) in one.enumerated() {
          for j in one[(place + 1)...] {
            let (first, second) = (other.firstIndex(of: i), other.firstIndex(of: j))
            guard let first, let second, second < first else { continue }
            brackets += hessian(ofBatch: j, times: gradients[i], problem) - hessian(ofBatch: i, times: gradients[j], problem)
          }
        }
        let derivatives = (1...6).map(problem.derivatives(ofBatch:))
        func second(_ sequence: BatchSequence) -> Vector { PathExpansion(of: sequence, derivatives).second }
        #expect(norm(second(pair.one) - second(pair.other) - brackets) < 1e-7)
        #expect(norm(second(double.one) - second(double.other)) < 1e-12 && norm(second(double.one)) > 0.1)
      }
    }
  }

  /// What the expansion leaves of a path falls like η⁴.
  @Test(arguments: PlaneRegression.Loss.allCases) func expansionsLeaveTheFourthOrder(loss: PlaneRegression.Loss) {
    let paths = OrderComparison.Kind.allCases.flatMap { OrderComparison(passLength: 5, seed: 1).pairs($0) }.flatMap { [$0.one, $0.other] }
    for seed in 0..<5 {
      let problem = problem(loss, seed: seed)
      let derivatives = (1...5).map(problem.derivatives(ofBatch:))
      for path in paths where path.count > 2 {
        let expansion = PathExpansion(of: path, derivatives)
        func rest(_ rate: Double) -> Double {
          let leading = expansion.first + rate * expansion.second + rate * rate * expansion.third
          return norm(end(of: path, problem, rate: rate) - rate * leading)
        }
        let (coarse, fine) = (rest(2e-3), rest(1e-3))
        #expect(coarse / fine > 14 && coarse / fine < 18, "\(coarse / fine)")
      }
    }
  }

  /// Decades begin where rounding is below a hundredth of what is measured, and not much below.
  @Test(arguments: PlaneRegression.Loss.allCases) func decadesLieAboveRounding(loss: PlaneRegression.Loss) async throws {
    let comparison = OrderComparison(passLength: 4, seed: 0)
    for (kind, power) in [(OrderComparison.Kind.permuted, 2), (.paired, 3), (.bracket, loss == .logistic ? 3 : 2)] {
      let pairs = comparison.pairs(kind)
      let laboratory = Laboratory(seeds: 0..<300, steps: OrderComparison.iterateCount, lanes: 2, progress: ReplayProgress())
      let measured = try await OrderDifferences(loss, pairs, power: power, laboratory)
      let rate = try #require(measured.fit.rates.first)
      #expect(abs(try #require(measured.fit.rates.last) / rate / 10 - 1) < 1e-6)
      var (errors, sizes) = (0.0, 0.0)
      for seed in 0..<300 {
        let problem = problem(loss, seed: seed)
        for (place, pair) in pairs.enumerated() {
          let exact = end(of: pair.one, problem, rate: rate) - end(of: pair.other, problem, rate: rate)
          let error = measured.differences[0][seed][place] - exact
          errors += (error * error).sum()
          let leading = kind == .bracket && power == 3 ? exact - rate * rate * measured.expansions[seed][place].second : exact
          sizes += (leading * leading).sum()
        }
      }
      let ratio = (errors / sizes).squareRoot()
      #expect(ratio < 0.01 && ratio > 0.0003, "\(kind): \(ratio)")
    }
  }

  /// The three slopes, for passes of other lengths and other seeds.
  @Test(arguments: [(3, 0), (4, 5000), (6, 0), (8, 70_000)]) func slopesArePowersOfTheRate(passLength: Int, seed: Int) async throws {
    var study = TheoryStudy(.orders)
    study.steps = passLength
    study.firstSeed = seed
    study.seedCount = 500
    let result = try await study.result()
    #expect(result.agrees, "\(result.disagreements)")
    let slopes = result.checks.filter { $0.quantity.hasPrefix("slope") || $0.quantity.hasPrefix("error-slope") }
    #expect(slopes.count == 5)
    for check in slopes {
      let power = ["permuted": 2.0, "paired": 3, "bracket": 1][check.series]
      #expect(check.predicted == power && abs(check.measured - check.predicted) < 0.01, "\(check)")
      // The interval is narrow enough to tell.
      #expect(try #require(check.highest) - check.predicted < 0.02, "\(check)")
    }
  }

  /// p-values of true predictions are spread evenly, each quantity's, though what the fit leaves out is not chance.
  @Test func confidenceIsKept() async throws {
    var pValues: [String: [Double]] = [:]
    for block in 0..<30 {
      var study = TheoryStudy(.orders)
      study.seedCount = 100
      study.firstSeed = 1000 * block
      for check in try await study.result().checks {
        if let p = check.pValue { pValues["\(check.series)-\(check.quantity)", default: []].append(p) }
      }
    }
    #expect(pValues.count == 11)
    for (name, values) in pValues {
      // 3 of 30 are expected below 0.1, and 15 below ½.
      #expect(values.count { $0 < 0.1 } <= 9 && (5...25).contains(values.count { $0 < 0.5 }), "\(name): \(values.sorted())")
    }
    let all = pValues.values.joined()
    for level in [0.1, 0.5] {
      let share = Double(all.count { $0 < level }) / Double(all.count)
      #expect(abs(share - level) < 0.25 * level + 0.03, "\(share) of p-values are below \(level)")
    }
  }

  /// With as many seeds as there may be, what the fit leaves out is still small beside chance.
  @Test(arguments: runsAtLength ? Array(OrderComparison.passLengths) : [4]) func manySeedsAgree(passLength: Int) async throws {
    var study = TheoryStudy(.orders)
    study.steps = passLength
    study.seedCount = TheoryStudy.seedCounts.upperBound
    study.firstSeed = 100_000
    let result = try await study.result()
    #expect(result.agrees, "\(result.disagreements)")
  }

  /// A fit finds the leading term of made-up differences, and its error is that of their spread.
  @Test func fitsFindLeadingTerms() {
    var random = SplitMix(state: 11)
    let fit = DecadeFit(rates: DecadeFit.decade(from: 0.02).map(Double.init))
    var slopes: [SampleEstimate] = []
    var limits: [SampleEstimate] = []
    for _ in 0..<300 {
      let sizes = (0..<200).map { _ in Double.random(in: 1..<3, using: &random) }
      let values = fit.rates.map { rate in
        sizes.map { $0 * (1 - 2 * rate + rate * rate) * (1 + Double.random(in: -0.02..<0.02, using: &random)) }
      }
      let squares = zip(values, fit.rates).map { row, rate in row.map { pow($0, 2) * pow(rate, 5) } }
      slopes.append(fit.exponent(of: squares))
      limits.append(fit.limit(of: values, to: sizes))
    }
    for (estimates, truth) in [(slopes, 2.5), (limits, 1)] {
      let moments = Moments(estimates.map(\.value))
      #expect(abs(moments.mean - truth) < 5 * (moments.variance / 300).squareRoot() + 2e-4, "\(moments.mean)")
      #expect(abs(Moments(estimates.map(\.standardError)).mean / moments.variance.squareRoot() - 1) < 0.15)
    }
    let straight = fit.rates.map { [3 * pow($0, 4)] + [pow($0, 4)] }
    #expect(abs(fit.lineSlope(of: straight) - 2) < 1e-9 && abs(fit.exponent(of: straight).value - 2) < 1e-9)
  }
}
