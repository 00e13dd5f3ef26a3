import Formats
import Replay
import Tensors

/// One row of the comparison of series. Every number except costs is a mean over seeds; a spread is the standard
/// deviation between seeds.
public struct SeriesSummary: Sendable {
  /// The name of the series or of a baseline.
  public let name: String
  /// The means over all n in the last quarter of the run, interpolated linearly in log n between observations.
  public let measurements: Measurements
  /// The standard deviation of each metric between seeds; nil for one seed.
  public let spreads: [Double]?
  /// The standard deviation of the loss's change from one observed iterate to the next, over the last half of the
  /// run. Nil with fewer than three observations there, or if they are not evenly spaced.
  public let neighbourNoise: Double?
  /// The gradient evaluations of the series alone, for all seeds.
  public let gradientEvaluations: Int
  /// The time in seconds the series would take alone on one lane, at this run's rates.
  public let laneSeconds: Double

  /// - Parameters:
  ///   - seeds: The figures of each seed; at least one.
  ///   - gradientEvaluations: The gradient evaluations for one seed.
  ///   - averaging: The time in seconds that an average of one seed takes to be kept; 0 for other series.
  package init(
    _ name: String, seeds: [CurveFigures], metrics: [Metric], gradientEvaluations: Int, secondsPerUpdate: Double,
    secondsPerObservation: Double, averaging: Double = 0
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
    laneSeconds =
      Double(cost) * secondsPerUpdate + Double(observations) * secondsPerObservation + Double(seeds.count) * averaging
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
