import Replay
import Runs
import Tensors
import Testing

import Theory

@Suite struct StudyTests {
  /// The examples as a user asks for them.
  @Test(arguments: TheoryExample.allCases) func predictionsAgree(example: TheoryExample) async throws {
    let result = try await TheoryStudy(example).result()
    #expect(result.agrees, "\(result.disagreements)")
    #expect(result.checks.count >= 8 && result.tests >= 3)
    for check in result.checks where check.quantity == "rate" && example != .logistic && example != .nonConvex {
      #expect(abs(check.measured / check.predicted - 1) < 0.01, "\(check)")
    }
  }

  /// Other learning rates: η ↦ laws of other shapes.
  @Test(arguments: [
    (TheoryExample.ar1, 0.02), (.ar1, 0.9), (.bernoulli, 0.2), (.bernoulli, 0.45), (.bernoulli, 0.7), (.bernoulli, 0.95),
    (.leastSquares, 0.05), (.leastSquares, 0.5), (.logistic, 0.1), (.logistic, 0.6), (.nonConvex, 0.05), (.nonConvex, 0.35),
  ])
  func predictionsAgreeAtOtherRates(example: TheoryExample, rate: Double) async throws {
    var study = TheoryStudy(example)
    study.learningRate = rate
    study.seedCount = 1500
    let result = try await study.result()
    #expect(result.agrees, "\(result.disagreements)")
  }

  /// Every prediction that is tested is found out where it is wrong, and no other.
  @Test(arguments: [
    (TheoryExample.ar1, ["backward-mean=101.5%", "forward-variance=107%", "rate=99%", "change=110%", "limit=0.01"]),
    (.bernoulli, ["backward-mean=0.03", "variance=105%", "backward-rate=101%", "change=110%", "limit=-0.001"]),
    (.leastSquares, ["mean:1=102%", "forward-variance:2=115%", "backward-covariance:1,2=60%", "rate=98%", "change=115%", "limit=1"]),
    (.logistic, ["gradient:1=0.02", "forward-balance=110%", "backward-rate=50%", "limit=0.1"]),
    (.nonConvex, ["backward-right-well=0.55", "backward-changes=130%", "forward-changes=0.01", "rate=80%", "apart=2", "near-limits=0.01"]),
    (.orders, ["permuted-slope=2.1", "paired-slope=3.05", "size=101%", "error=0.0001", "bracket-error-slope=1.05"]),
  ])
  func wrongPredictionsDisagree(example: TheoryExample, predictions: [String]) async throws {
    var study = TheoryStudy(example)
    study.predictions = try predictions.map { try OwnPrediction($0) }
    let result = try await study.result()
    let own = result.checks.filter(\.isOwn)
    #expect(!result.agrees && own.count >= predictions.count)
    for check in result.checks { #expect(check.agrees == !check.isOwn, "\(check)") }
  }

  /// True predictions are rejected as rarely as the confidence says, but not never.
  @Test(arguments: [TheoryExample.ar1, .bernoulli, .leastSquares]) func confidenceIsKept(example: TheoryExample) async throws {
    var pValues: [Double] = []
    var rejected = 0
    let studies = 60
    for block in 0..<studies {
      var study = TheoryStudy(example)
      study.learningRate = 0.4
      study.seedCount = 400
      study.firstSeed = 1000 * block
      study.confidence = 0.8
      let result = try await study.result()
      if !result.agrees { rejected += 1 }
      pValues += result.checks.compactMap(\.pValue)
    }
    // At most 20 % are expected, 12 of 60, with a deviation of 3.1; the tests' dependence makes it fewer.
    #expect((1...24).contains(rejected), "\(rejected)")
    // Single tests reject as often as their level says: half below ½, a tenth below 0.1.
    for level in [0.1, 0.5] {
      let share = Double(pValues.count { $0 < level }) / Double(pValues.count)
      #expect(abs(share - level) < 0.25 * level + 0.03, "\(share) of p-values are below \(level)")
    }
  }

  /// The laboratory's iterates are those of updates one by one.
  @Test func sampledIteratesAreThoseOfPlainLoops() async throws {
    let problem = LeastSquares(learningRate: 0.3)
    let laboratory = Laboratory(seeds: 5..<9, steps: 12, lanes: 2, progress: ReplayProgress())
    let sample = try await laboratory.sample(problem, [(.forward, [3, 12]), (.backward, [1, 12])])
    for (order, n) in [(CompositionOrder.forward, 3), (.forward, 12), (.backward, 1), (.backward, 12)] {
      for seed in 5..<9 {
        var state = try StateBuffer(count: 2)
        var workspace: Void = ()
        let map = problem.map(seed: seed)
        for (position, batch) in (order == .forward ? Array(1...n) : (1...n).reversed()).enumerated() {
          map.apply(batch: batch, position: position, to: &state, workspace: &workspace)
        }
        for coordinate in 0..<2 {
          #expect(sample.values(1 + coordinate, of: order, n)[seed - 5] == Double(state[coordinate]), "\(order) \(n), seed \(seed)")
        }
      }
    }
    // Backward's first iterate is forward's.
    #expect(laboratory.gradientEvaluations == 4 * (12 + 12))
  }

  @Test func whatCanNotBePredictedIsRefused() async throws {
    func refused(_ example: TheoryExample, _ change: (inout TheoryStudy) throws -> Void, _ word: String) async {
      await #expect("\(example), \(word)") {
        var study = TheoryStudy(example)
        study.seedCount = 100
        try change(&study)
        _ = try await study.result()
      } throws: { "\($0)".contains(word) }
    }
    await refused(.ar1, { $0.learningRate = 1 }, "`learning-rate`")
    await refused(.ar1, { $0.learningRate = .nan }, "`learning-rate`")
    await refused(.bernoulli, { $0.learningRate = 1e-30 }, "`learning-rate`")
    await refused(.leastSquares, { $0.steps = 10 }, "`steps`")
    await refused(.logistic, { $0.steps = .max }, "`steps`")
    await refused(.logistic, { $0.seedCount = 99 }, "`seeds`")
    await refused(.orders, { $0.learningRate = 0.1 }, "`learning-rate`")
    for length in [-1, 2, 9, .max] { await refused(.orders, { $0.steps = length }, "`steps`") }
    await refused(.ar1, { $0.firstSeed = -1 }, "`seed`")
    await refused(.ar1, { $0.confidence = 1 }, "`confidence`")
    await refused(.ar1, { $0.lanes = 0 }, "`lanes`")
    await refused(.ar1, { $0.predictions = [try OwnPrediction("skew=0")] }, "backward-rate")
    await refused(.ar1, { $0.predictions = [try OwnPrediction("law=0.1")] }, "another quantity")
    await refused(.logistic, { $0.predictions = [try OwnPrediction("gradient=110%")] }, "give a number")
    for text in ["", "variance", "variance=", "=1", "variance=x%", "variance=nan", "variance=inf", "variance=%"] {
      await refused(.ar1, { $0.predictions = [try OwnPrediction(text)] }, "is no prediction")
    }
  }
}
