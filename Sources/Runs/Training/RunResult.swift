import Formats
import Foundation
import Replay
import Tensors

/// The result of a finished run. `RunDocument` adds the iterates, as `train --json` prints them.
public struct RunResult: Codable, Sendable {
  public struct Iterate: Sendable {
    public let n: Int
    public let measurements: Measurements
    /// The mean loss over the last update's batch, as `Observation.trainingLoss`.
    public let trainingLoss: Double?
    public let digest: Digest

    public init(n: Int, measurements: Measurements, trainingLoss: Double? = nil, digest: Digest) {
      self.n = n
      self.measurements = measurements
      self.trainingLoss = trainingLoss
      self.digest = digest
    }
  }

  /// The observations of a series for one seed.
  public struct Curve: Codable, Sendable {
    /// The series: an order, or a running average of forward.
    public let series: Series
    public let seed: Int
    /// The gradient evaluations of the order alone. Orders that share batches cost less together.
    public let gradientEvaluations: Int
    /// The iterates; empty in a result made without them, since there may be too many to hold.
    public internal(set) var iterates: [Iterate] = []
    /// The n at which the iterate has diverged, in ascending order; empty in a result made without iterates.
    public internal(set) var diverged: [Int] = []

    enum CodingKeys: String, CodingKey {
      case series = "order"
      case seed, gradientEvaluations, iterates
    }

    /// The curve with every n multiplied by `factor`.
    package func stretched(by factor: Int) -> Curve {
      var changed = self
      changed.iterates = iterates.map { 
        Iterate(n: $0.n * factor, measurements: $0.measurements, trainingLoss: $0.trainingLoss, digest: $0.digest)
      }
      changed.diverged = diverged.map { $0 * factor }
      return changed
    }
  }

  public internal(set) var run: String
  /// The curves, ordered by order, then by seed.
  public internal(set) var orders: [Curve]
  /// The running averages of forward's iterates, which cost no gradient evaluations of their own.
  public internal(set) var averages: [Curve]
  public let summary: [SeriesSummary]
  public internal(set) var gradientEvaluations: Int
  public internal(set) var predictedGradientEvaluations: Int
  /// The predicted gradient evaluations that were left out because their states would come of diverged ones; nil for none.
  public internal(set) var skippedGradientEvaluations: Int?
  public internal(set) var wallSeconds: Double
  /// The rates of a lane while all were at work; nil if nothing was done.
  public internal(set) var secondsPerUpdate: Double?
  public internal(set) var secondsPerObservation: Double?
  /// The lane seconds that running averages took to be kept up to date; nil if none were.
  public internal(set) var averagingSeconds: Double?
  public internal(set) var peakResidentBytes: Int
  public internal(set) var predictedPeakBytes: Int
  /// The results of automatic orders and schedules; nil if there are none.
  public let findings: [AdaptiveFinding]?
  public let checkpointBytes: Int
  public let stateBytes: Int
  public let lanes: Int
  public let fingerprint: String
  /// Whether this process made the result, so that its peak may still rise.
  var isOfThisProcess = false

  enum CodingKeys: String, CodingKey {
    case run, orders, averages, summary, gradientEvaluations, predictedGradientEvaluations, skippedGradientEvaluations
    case wallSeconds, secondsPerUpdate, secondsPerObservation, averagingSeconds
    case peakResidentBytes, predictedPeakBytes, findings, checkpointBytes, stateBytes, lanes, fingerprint
  }
}

extension RunResult {
  /// The result with all iterates in memory.
  package func with(_ iterates: ObservedIterates) throws -> RunResult {
    try mapCurves {
      $0.iterates = try iterates.all(of: $0.series, seed: $0.seed)
      $0.diverged = try iterates.diverged(of: $0.series, seed: $0.seed)
    }
  }

  /// The result without iterates, as it is stored: they are in the database already.
  var withoutIterates: RunResult { mapCurves { ($0.iterates, $0.diverged) = ([], []) } }

  private func mapCurves(_ change: (inout Curve) throws -> Void) rethrows -> RunResult {
    var changed = self
    for index in orders.indices { try change(&changed.orders[index]) }
    for index in averages.indices { try change(&changed.averages[index]) }
    return changed
  }

  /// The total of this result and an earlier one of the same run: the cost of both together. Rates are means weighted
  /// by time.
  func adding(_ earlier: RunResult?) -> RunResult {
    guard let earlier else { return self }
    // Observations are not counted here, so each call is weighted by its time.
    func rate(_ now: Double?, _ before: Double?) -> Double? {
      guard let now, let before else { return now ?? before }
      let sum = wallSeconds + earlier.wallSeconds
      return sum > 0 ? (wallSeconds * now + earlier.wallSeconds * before) / sum : now
    }
    var sum = self
    sum.secondsPerUpdate = rate(secondsPerUpdate, earlier.secondsPerUpdate)
    sum.secondsPerObservation = rate(secondsPerObservation, earlier.secondsPerObservation)
    sum.averagingSeconds = [averagingSeconds, earlier.averagingSeconds].compactMap(\.self).reduce(nil) { ($0 ?? 0) + $1 }
    sum.gradientEvaluations += earlier.gradientEvaluations
    sum.predictedGradientEvaluations += earlier.predictedGradientEvaluations
    if skippedGradientEvaluations != nil || earlier.skippedGradientEvaluations != nil {
      sum.skippedGradientEvaluations = (skippedGradientEvaluations ?? 0) + (earlier.skippedGradientEvaluations ?? 0)
    }
    sum.wallSeconds += earlier.wallSeconds
    sum.peakResidentBytes = max(peakResidentBytes, earlier.peakResidentBytes)
    sum.predictedPeakBytes = max(predictedPeakBytes, earlier.predictedPeakBytes)
    return sum
  }
}

/// An iterate in a document: measured, or diverged, with null instead of values and digest.
struct DocumentedIterate: Codable {
  let n: Int
  /// Nil if it has diverged.
  let measured: RunResult.Iterate?
  let metrics: [Metric]

  init(_ iterate: RunResult.Iterate) {
    (n, measured, metrics) = (iterate.n, iterate, iterate.measurements.metrics)
  }

  /// Makes one that has diverged.
  init(divergedAt n: Int, metrics: [Metric]) {
    (self.n, measured, self.metrics) = (n, nil, metrics)
  }

  init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: DocumentKey.self)
    let hasDiverged = try stored.decodeIfPresent(Bool.self, forKey: "diverged") ?? false
    n = try stored.decode(Int.self, forKey: "n")
    measured = hasDiverged ? nil : try RunResult.Iterate(from: decoder)
    metrics = decoder.metrics
  }

  func encode(to encoder: any Encoder) throws {
    if let measured { return try measured.encode(to: encoder) }
    var document = encoder.container(keyedBy: DocumentKey.self)
    try document.encode(n, forKey: "n")
    for metric in metrics { try document.encodeNil(forKey: DocumentKey(metric.name)) }
    try document.encodeNil(forKey: "digest")
    try document.encode(true, forKey: "diverged")
  }
}

extension RunResult.Curve {
  public init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: CodingKeys.self)
    series = try stored.decode(Series.self, forKey: .series)
    seed = try stored.decode(Int.self, forKey: .seed)
    gradientEvaluations = try stored.decode(Int.self, forKey: .gradientEvaluations)
    let all = try stored.decode([DocumentedIterate].self, forKey: .iterates)
    iterates = all.compactMap(\.measured)
    diverged = all.filter { $0.measured == nil }.map(\.n)
  }
}

extension RunResult.Iterate: Codable {
  public init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: DocumentKey.self)
    n = try stored.decode(Int.self, forKey: "n")
    measurements = try stored.measurements(of: decoder.metrics)
    trainingLoss = try stored.trainingLoss(beside: decoder.metrics)
    digest = try stored.decode(Digest.self, forKey: "digest")
  }

  public func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: DocumentKey.self)
    try document.encode(n, forKey: "n")
    try document.encode(measurements, trainingLoss: trainingLoss)
    try document.encode(digest, forKey: "digest")
  }
}

extension RunResult {
  /// Reads the document that `train --json` prints.
  /// - Parameter metrics: The metrics of the run.
  package init(reading document: Data, metrics: [Metric]) throws {
    self = try decoder(of: metrics).decode(RunResult.self, from: document)
  }
}
