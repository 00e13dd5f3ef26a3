import Formats
import Replay
import Tensors

/// The first observed n at which a series has diverged for one seed.
public struct SeedDivergence: Codable, Hashable, Sendable {
  public let seed: Int
  public let n: Int

  public init(seed: Int, n: Int) {
    self.seed = seed
    self.n = n
  }
}

/// One row of the comparison of series. Every number except costs is a mean over the seeds for which the series has not diverged,
/// which are selected by that; a spread is the standard deviation between them.
public struct SeriesSummary: Sendable {
  /// The name of the series or of a baseline.
  public let name: String
  /// The means over all n in the last quarter of the run, interpolated linearly in log n between observations; nil if the series has
  /// diverged for every seed.
  public let measurements: Measurements?
  /// The seeds for which the series has diverged. They count in costs alone.
  public let diverged: [SeedDivergence]
  /// The standard deviation of each metric between seeds; nil for less than two.
  public let spreads: [Double]?
  /// The mean of the training losses over the last quarter, joined by lines as the metrics; nil where none were noted.
  public let trainingLoss: Double?
  /// The standard deviation of the loss's change from one observed iterate to the next, over the last half of the
  /// run. Nil with fewer than three observations there, or if they are not evenly spaced.
  public let neighbourNoise: Double?
  /// The gradient evaluations of the series alone, for all seeds.
  public let gradientEvaluations: Int
  /// The time in seconds the series would take alone on one lane, at this run's rates.
  public let laneSeconds: Double

  /// - Parameters:
  ///   - seeds: The figures of each seed for which the series has not diverged.
  ///   - diverged: The other seeds.
  ///   - gradientEvaluations: The gradient evaluations for one seed.
  ///   - averaging: The time in seconds that an average of one seed takes to be kept; 0 for other series.
  package init(
    _ name: String, seeds: [CurveFigures], diverged: [SeedDivergence], metrics: [Metric], gradientEvaluations: Int,
    secondsPerUpdate: Double, secondsPerObservation: Double, averaging: Double = 0
  ) {
    func over(_ summary: ([Double]) -> Double) -> [Double] {
      metrics.indices.map { metric in summary(seeds.map { $0.values[metric] }) }
    }
    let noises = seeds.compactMap(\.neighbourNoise)
    let observations = seeds.reduce(0) { $0 + $1.count }
    let cost = gradientEvaluations * (seeds.count + diverged.count)
    self.name = name
    self.diverged = diverged
    measurements = seeds.isEmpty ? nil : Measurements(over(mean), of: metrics)
    spreads = seeds.count > 1 ? over { standardDeviation($0) ?? 0 } : nil
    let losses = seeds.compactMap(\.trainingLoss)
    trainingLoss = losses.isEmpty || losses.count < seeds.count ? nil : mean(losses)
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
    diverged = try stored.decodeIfPresent([SeedDivergence].self, forKey: "diverged") ?? []
    let hasValues = diverged.isEmpty || decoder.metrics.contains { stored.contains(DocumentKey($0.name)) }
    measurements = hasValues ? try stored.measurements(of: decoder.metrics) : nil
    let spreads = try decoder.metrics.map { try stored.decodeIfPresent(Double.self, forKey: DocumentKey("\($0.name)Spread")) }
    self.spreads = spreads.contains(nil) ? nil : spreads.compactMap { $0 }
    trainingLoss = try stored.trainingLoss(beside: decoder.metrics)
    neighbourNoise = try stored.decodeIfPresent(Double.self, forKey: "neighbourNoise")
    gradientEvaluations = try stored.decode(Int.self, forKey: "gradientEvaluations")
    laneSeconds = try stored.decode(Double.self, forKey: "laneSeconds")
  }

  public func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: DocumentKey.self)
    try document.encode(name, forKey: "series")
    if let measurements {
      try document.encode(measurements, trainingLoss: trainingLoss)
      for (metric, spread) in zip(measurements.metrics, spreads ?? []) {
        try document.encode(spread, forKey: DocumentKey("\(metric.name)Spread"))
      }
    }
    if !diverged.isEmpty { try document.encode(diverged, forKey: "diverged") }
    try document.encodeIfPresent(neighbourNoise, forKey: "neighbourNoise")
    try document.encode(gradientEvaluations, forKey: "gradientEvaluations")
    try document.encode(laneSeconds, forKey: "laneSeconds")
  }
}
