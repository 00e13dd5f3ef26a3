import Replay
import Storage
import Tensors

/// What a finished run gives: the document `train --json` prints.
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
    public let iterates: [Iterate]
  }

  public let run: String
  /// By order, then by seed.
  public let orders: [Series]
  /// Running averages of forward iterates, at no gradient evaluations of their own.
  public let averages: [Series]
  public let summary: [SeriesSummary]
  public let gradientEvaluations: Int
  public let predictedGradientEvaluations: Int
  public let wallSeconds: Double
  /// Of a lane while all were at work; nil where nothing was done.
  public let secondsPerUpdate: Double?
  public let secondsPerObservation: Double?
  public let peakResidentBytes: Int
  public let predictedPeakBytes: Int
  /// What automatic orders and schedules came to; nil where there are none.
  public let findings: [AdaptiveFinding]?
  public let checkpointBytes: Int
  public let stateBytes: Int
  public let lanes: Int
  public let fingerprint: String
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
  init(_ name: String, seeds: [RunResult.Series], secondsPerUpdate: Double, secondsPerObservation: Double) {
    let last = seeds.flatMap(\.iterates).map(\.n).max() ?? 1
    func curves(_ value: (RunResult.Iterate) -> Double) -> [Curve] {
      seeds.map { seed in Curve(seed.iterates.map { ($0.n, value($0)) }) }
    }
    let quarter = min(last, last - last / 4 + 1)...last
    let lossCurves = curves(\.testLoss)
    let losses = lossCurves.map { $0.mean(over: quarter) }
    let accuracies = curves(\.testAccuracy).map { $0.mean(over: quarter) }
    let noises = lossCurves.compactMap { $0.neighbourNoise(in: last / 2...last) }
    let cost = seeds.reduce(0) { $0 + $1.gradientEvaluations }
    let observations = seeds.reduce(0) { $0 + $1.iterates.count }
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
