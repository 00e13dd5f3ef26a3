import Replay
import Storage
import Tensors

/// What a finished run gives. `RunDocument` is this with the iterates, as `train --json` prints it.
public struct RunResult: Codable, Sendable {
  public struct Iterate: Codable, Sendable {
    public let n: Int
    public let testLoss: Double
    public let testAccuracy: Double
    public let digest: Digest
  }

  public struct Series: Codable, Sendable {
    public let order: String
    public let seed: Int
    /// What the order costs alone; orders that share batches cost less together.
    public let gradientEvaluations: Int
    /// Empty where a result was made without them: they may be too many to hold.
    public internal(set) var iterates: [Iterate] = []

    enum CodingKeys: String, CodingKey {
      case order, seed, gradientEvaluations, iterates
    }
  }

  public internal(set) var run: String
  /// By order, then by seed.
  public internal(set) var orders: [Series]
  /// Running averages of forward iterates, at no gradient evaluations of their own.
  public internal(set) var averages: [Series]
  public let summary: [SeriesSummary]
  public internal(set) var gradientEvaluations: Int
  public internal(set) var predictedGradientEvaluations: Int
  public internal(set) var wallSeconds: Double
  /// Of a lane while all were at work; nil where nothing was done.
  public internal(set) var secondsPerUpdate: Double?
  public internal(set) var secondsPerObservation: Double?
  public internal(set) var peakResidentBytes: Int
  public internal(set) var predictedPeakBytes: Int
  /// What automatic orders and schedules came to; nil where there are none.
  public let findings: [AdaptiveFinding]?
  public let checkpointBytes: Int
  public let stateBytes: Int
  public let lanes: Int
  public let fingerprint: String
  /// Whether this process came to it, so that its peak may still rise.
  var isOfThisProcess = false

  enum CodingKeys: String, CodingKey {
    case run, orders, averages, summary, gradientEvaluations, predictedGradientEvaluations, wallSeconds, secondsPerUpdate
    case secondsPerObservation, peakResidentBytes, predictedPeakBytes, findings, checkpointBytes, stateBytes, lanes, fingerprint
  }
}

extension RunResult {
  /// With all iterates in memory.
  func with(_ iterates: ObservedIterates) throws -> RunResult {
    try mapSeries { $0.iterates = try iterates.all(of: $0.order, seed: $0.seed) }
  }

  /// Without iterates, as it is stored: they are in the database already.
  var withoutIterates: RunResult { mapSeries { $0.iterates = [] } }

  private func mapSeries(_ change: (inout Series) throws -> Void) rethrows -> RunResult {
    var changed = self
    for index in orders.indices { try change(&changed.orders[index]) }
    for index in averages.indices { try change(&changed.averages[index]) }
    return changed
  }

  /// This result of more work on a run that had come to `earlier`: what both cost together. Rates are means over both.
  func adding(_ earlier: RunResult?) -> RunResult {
    guard let earlier else { return self }
    // Observations are not counted here, so that each call weighs by its time.
    func rate(_ now: Double?, _ before: Double?) -> Double? {
      guard let now, let before else { return now ?? before }
      let sum = wallSeconds + earlier.wallSeconds
      return sum > 0 ? (wallSeconds * now + earlier.wallSeconds * before) / sum : now
    }
    var sum = self
    sum.secondsPerUpdate = rate(secondsPerUpdate, earlier.secondsPerUpdate)
    sum.secondsPerObservation = rate(secondsPerObservation, earlier.secondsPerObservation)
    sum.gradientEvaluations += earlier.gradientEvaluations
    sum.predictedGradientEvaluations += earlier.predictedGradientEvaluations
    sum.wallSeconds += earlier.wallSeconds
    sum.peakResidentBytes = max(peakResidentBytes, earlier.peakResidentBytes)
    sum.predictedPeakBytes = max(predictedPeakBytes, earlier.predictedPeakBytes)
    return sum
  }
}

/// One line of the comparison of orders. Every number is a mean over seeds; a spread is the standard deviation
/// between seeds, nil for one seed.
public struct SeriesSummary: Codable, Sendable {
  public let series: String
  /// Over all n of the last quarter of the run, observations joined by lines in log n.
  public let testLoss: Double
  public let testLossSpread: Double?
  public let testAccuracy: Double
  public let testAccuracySpread: Double?
  /// Standard deviation of the test loss's change from one observed iterate to the next, over the last half of the run; nil
  /// with fewer than three there, or at uneven distances.
  public let neighbourNoise: Double?
  /// What the series costs alone, for all seeds.
  public let gradientEvaluations: Int
  /// What it would take alone on one lane, at this run's rates.
  public let laneSeconds: Double
}

extension SeriesSummary {
  /// - Parameter gradientEvaluations: of one seed.
  init(
    _ name: String, seeds: [CurveFigures], gradientEvaluations: Int, secondsPerUpdate: Double, secondsPerObservation: Double
  ) {
    let losses = seeds.map(\.testLoss)
    let accuracies = seeds.map(\.testAccuracy)
    let noises = seeds.compactMap(\.neighbourNoise)
    let observations = seeds.reduce(0) { $0 + $1.count }
    let cost = gradientEvaluations * seeds.count
    self.init(
      series: name, testLoss: mean(losses), testLossSpread: standardDeviation(losses),
      testAccuracy: mean(accuracies), testAccuracySpread: standardDeviation(accuracies),
      neighbourNoise: noises.isEmpty ? nil : mean(noises), gradientEvaluations: cost,
      laneSeconds: Double(cost) * secondsPerUpdate + Double(observations) * secondsPerObservation)
  }
}

func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

/// The sample standard deviation; nil for fewer than two values.
func standardDeviation(_ values: [Double]) -> Double? {
  guard values.count > 1 else { return nil }
  let center = mean(values)
  return (values.reduce(0) { $0 + ($1 - center) * ($1 - center) } / Double(values.count - 1)).squareRoot()
}
