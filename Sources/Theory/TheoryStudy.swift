import Replay
import Runs

/// An example in which theory predicts what forward and backward order do, or how far any two orders end from each other.
public enum TheoryExample: String, CaseIterable, Sendable {
  case ar1
  case bernoulli
  case leastSquares = "least-squares"
  case logistic
  case nonConvex = "non-convex"
  case orders

  /// How many seeds are replayed unless another number is asked for.
  var usualSeeds: Int {
    switch self {
    case .ar1, .bernoulli: 10_000
    case .leastSquares, .logistic, .nonConvex: 4000
    case .orders: 2000
    }
  }
}

/// Replays an example for many seeds and compares what it does with what theory predicts.
///
///     let result = try await TheoryStudy(.ar1).result()
///     for check in result.checks { print(check.series, check.quantity, check.predicted, check.measured, check.agrees) }
///
/// Results are a function of the study alone: the same seeds give the same numbers.
public struct TheoryStudy: Sendable {
  public var example: TheoryExample
  /// η; nil for the example's usual one. `orders` takes none: it goes through a decade above rounding errors.
  public var learningRate: Double?
  /// N, the last n; nil for as many as bring backward's iterates within 10⁻⁷ of their limit. Of `orders`, the batches of a pass; nil for 4.
  public var steps: Int?
  public var firstSeed = 0
  /// How many seeds are replayed; nil for the example's usual number.
  public var seedCount: Int?
  /// The probability that no true prediction is rejected, from 0 to 1.
  public var confidence = 0.999
  /// Predictions that replace those there are.
  public var predictions: [OwnPrediction] = []
  public var lanes = 2

  /// With fewer seeds, means are not yet normally distributed.
  public static let seedCounts = 100...10_000

  /// With smaller rates, rounding errors of single precision would add up to more than what is tested.
  private static let leastLearningRate = 1e-4

  public init(_ example: TheoryExample) { self.example = example }

  /// - Throws: `RunError.usage` for a number that is out of range, `RunError.impossible` where the learning rate or the steps leave the
  ///   range in which the predictions hold, and `CancellationError`.
  public func result(progress: ReplayProgress = ReplayProgress()) async throws -> TheoryResult {
    guard confidence > 0, confidence < 1 else {
      throw RunError.usage("`confidence` is \(confidence), but must be a number between 0 and 1, such as 0.999")
    }
    let seedCount = seedCount ?? example.usualSeeds
    guard Self.seedCounts.contains(seedCount) else {
      throw RunError.usage(
        "`seeds` is \(seedCount), but must be a whole number from \(Self.seedCounts.lowerBound) to \(Self.seedCounts.upperBound)")
    }
    let largestSeed = 1 << 31
    guard (0...largestSeed).contains(firstSeed) else {
      throw RunError.usage("`seed` is \(firstSeed), but must be a whole number from 0 to \(largestSeed)")
    }
    guard (1...Budgets.mostLanes).contains(lanes) else {
      throw RunError.usage("`lanes` is \(lanes), but must be a whole number from 1 to \(Budgets.mostLanes)")
    }
    let seeds = firstSeed..<firstSeed + seedCount
    return switch example {
    case .ar1: try await result(Autoregression.self, seeds, progress)
    case .bernoulli: try await result(BernoulliConvolution.self, seeds, progress)
    case .leastSquares: try await result(LeastSquares.self, seeds, progress)
    case .logistic: try await result(LogisticRegression.self, seeds, progress)
    case .nonConvex: try await result(DoubleWell.self, seeds, progress)
    case .orders: try await orderResult(seeds, progress)
    }
  }

  private func result<Problem: ExampleProblem>(
    _ kind: Problem.Type, _ seeds: Range<Int>, _ progress: ReplayProgress
  ) async throws -> TheoryResult {
    let begin = ContinuousClock.now
    let rate = learningRate ?? Problem.usualLearningRate
    guard rate >= Self.leastLearningRate, rate <= Problem.largestLearningRate else {
      throw RunError.impossible(
        """
        `learning-rate` is \(rate), but the predictions for \(example.rawValue) are for rates from \(Self.leastLearningRate) to \
        \(Problem.largestLearningRate); give one of those
        """)
    }
    let problem = try Problem(learningRate: Float(rate))
    let steps = try steps(of: problem)
    let laboratory = Laboratory(seeds: seeds, steps: steps, lanes: lanes, progress: progress)
    let claims = try await problem.claims(laboratory)
    return try judged(claims, formula: Problem.formula, learningRate: Double(Float(rate)), steps, laboratory, problem.notes, since: begin)
  }

  private func orderResult(_ seeds: Range<Int>, _ progress: ReplayProgress) async throws -> TheoryResult {
    let begin = ContinuousClock.now
    guard learningRate == nil else {
      throw RunError.usage("`learning-rate` is given, but orders goes through a decade of rates that it chooses above rounding errors; leave it out")
    }
    let passLength = steps ?? OrderComparison.usualPassLength
    guard OrderComparison.passLengths.contains(passLength) else {
      let possible = OrderComparison.passLengths
      throw RunError.impossible(
        """
        `steps` is \(passLength), but passes of orders have from \(possible.lowerBound) to \(possible.upperBound) batches: in longer ones, what \
        is predicted for small rates is not seen above rounding errors; give one of those
        """)
    }
    let comparison = OrderComparison(passLength: passLength, seed: seeds.lowerBound)
    let laboratory = Laboratory(seeds: seeds, steps: OrderComparison.iterateCount, lanes: lanes, progress: progress)
    let claims = try await comparison.claims(laboratory)
    return try judged(
      claims, formula: OrderComparison.formula, learningRate: nil, passLength, laboratory, OrderComparison.notes + laboratory.notes, since: begin)
  }

  /// Compares what was predicted, by the caller where they did, with what was measured.
  private func judged(
    _ claims: [Claim], formula: String, learningRate: Double?, _ steps: Int, _ laboratory: Laboratory, _ notes: [String],
    since begin: ContinuousClock.Instant
  ) throws -> TheoryResult {
    var claims = claims
    var own: Set<Int> = []
    for prediction in predictions {
      let concerned = claims.indices.filter { prediction.isAbout(claims[$0]) }
      guard !concerned.isEmpty else {
        let names = claims.map { "\($0.series)-\($0.quantity)" }.joined(separator: ", ")
        throw RunError.usage("`predict` \(prediction.name): \(example.rawValue) has no such quantity; it has \(names)")
      }
      for index in concerned { try prediction.replace(&claims[index]) }
      own.formUnion(concerned)
    }
    let tests = claims.count { $0.isTest }
    let level = (1 - confidence) / Double(max(1, tests))
    let checks = claims.enumerated().map { TheoryCheck($1, isOwn: own.contains($0), level: level) }
    return TheoryResult(
      example: example.rawValue, formula: formula, learningRate: learningRate, steps: steps, seed: laboratory.seeds.lowerBound,
      seeds: laboratory.seeds.count, confidence: confidence, tests: tests, gradientEvaluations: laboratory.gradientEvaluations,
      seconds: (.now - begin) / .seconds(1), checks: checks, agrees: checks.allSatisfy(\.agrees), notes: notes)
  }

  /// As many steps as asked for, or as are enough.
  private func steps(of problem: some ExampleProblem) throws(RunError) -> Int {
    let least = problem.steps(toReach: 1e-6)
    guard let steps else { return problem.steps(toReach: 1e-7) }
    guard steps <= BatchRun.largestBatch, steps >= least else {
      throw .impossible(
        """
        `steps` is \(steps), but \(example.rawValue) is within 10⁻⁶ of its limit, which the predictions are about, only after \(least); \
        give at least so many
        """)
    }
    return steps
  }
}
