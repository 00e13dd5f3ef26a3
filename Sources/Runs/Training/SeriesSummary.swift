import Formats
import Replay
import Tensors

/// One line of the comparison of orders. Every number is a mean over seeds; a spread is the standard deviation
/// between seeds, nil for one seed.
public struct SeriesSummary: Sendable {
  /// The series, or a baseline's name.
  public let name: String
  /// Over all n of the last quarter of the run, observations joined by lines in log n.
  public let measurements: Measurements
  /// By metric; nil for one seed.
  public let spreads: [Double]?
  /// Standard deviation of the loss's change from one observed iterate to the next, over the last half of the run; nil
  /// with fewer than three there, or at uneven distances.
  public let neighbourNoise: Double?
  /// What the series costs alone, for all seeds.
  public let gradientEvaluations: Int
  /// What it would take alone on one lane, in seconds, at this run's rates.
  public let laneSeconds: Double

  /// - Parameters:
  ///   - seeds: of at least one seed.
  ///   - gradientEvaluations: of one seed.
  package init(
    _ name: String, seeds: [CurveFigures], metrics: [Metric], gradientEvaluations: Int, secondsPerUpdate: Double,
    secondsPerObservation: Double
  ) {
    func over(_ summary: ([Double]) -> Double) -> [Double] {
      metrics.indices.map { metric in summary(seeds.map { $0.values[metric] }) }
    }
    let noises = seeds.compactMap(\.neighbourNoise)
    let observations = seeds.reduce(0) { $0 + $1.count }
    let cost = gradientEvaluations * seeds.count
    self.name = name
    measurements = Measurements(over(mean), of: metrics)
    spreads = seeds.count > 1 ? over { standardDeviation($0) ?? 0 } : nil
    neighbourNoise = noises.isEmpty ? nil : mean(noises)
    self.gradientEvaluations = cost
    laneSeconds = Double(cost) * secondsPerUpdate + Double(observations) * secondsPerObservation
  }

  /// The series; nil for a baseline.
  package var series: Series? { Series(name) }
}

extension SeriesSummary: Codable {
  public init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: DocumentKey.self)
    name = try stored.decode(String.self, forKey: "series")
    measurements = try stored.measurements(of: decoder.metrics)
    let spreads = try decoder.metrics.map { try stored.decodeIfPresent(Double.self, forKey: DocumentKey("\($0.name)Spread")) }
    self.spreads = spreads.contains(nil) ? nil : spreads.compactMap { $0 }
    neighbourNoise = try stored.decodeIfPresent(Double.self, forKey: "neighbourNoise")
    gradientEvaluations = try stored.decode(Int.self, forKey: "gradientEvaluations")
    laneSeconds = try stored.decode(Double.self, forKey: "laneSeconds")
  }

  public func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: DocumentKey.self)
    try document.encode(name, forKey: "series")
    try document.encode(measurements)
    for (metric, spread) in zip(measurements.metrics, spreads ?? []) {
      try document.encode(spread, forKey: DocumentKey("\(metric.name)Spread"))
    }
    try document.encodeIfPresent(neighbourNoise, forKey: "neighbourNoise")
    try document.encode(gradientEvaluations, forKey: "gradientEvaluations")
    try document.encode(laneSeconds, forKey: "laneSeconds")
  }
}
