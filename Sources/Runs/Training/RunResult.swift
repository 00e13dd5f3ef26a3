import Formats
import Foundation
import Replay
import Tensors

/// The result of a finished run. `RunDocument` adds the iterates, as `train --json` prints them.
public struct RunResult: Codable, Sendable {
  public struct Iterate: Sendable {
    public let n: Int
    public let measurements: Measurements
    public let digest: Digest

    public init(n: Int, measurements: Measurements, digest: Digest) {
      self.n = n
      self.measurements = measurements
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

    enum CodingKeys: String, CodingKey {
      case series = "order"
      case seed, gradientEvaluations, iterates
    }

    package func mapIterates(_ transform: (Iterate) -> Iterate) -> Curve {
      var changed = self
      changed.iterates = iterates.map(transform)
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
    case run, orders, averages, summary, gradientEvaluations, predictedGradientEvaluations, wallSeconds, secondsPerUpdate
    case secondsPerObservation, averagingSeconds, peakResidentBytes, predictedPeakBytes, findings, checkpointBytes, stateBytes, lanes, fingerprint
  }
}

extension RunResult {
  /// The result with all iterates in memory.
  package func with(_ iterates: ObservedIterates) throws -> RunResult {
    try mapCurves { $0.iterates = try iterates.all(of: $0.series, seed: $0.seed) }
  }

  /// The result without iterates, as it is stored: they are in the database already.
  var withoutIterates: RunResult { mapCurves { $0.iterates = [] } }

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
    sum.wallSeconds += earlier.wallSeconds
    sum.peakResidentBytes = max(peakResidentBytes, earlier.peakResidentBytes)
    sum.predictedPeakBytes = max(predictedPeakBytes, earlier.predictedPeakBytes)
    return sum
  }
}

extension RunResult.Iterate: Codable {
  public init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: DocumentKey.self)
    n = try stored.decode(Int.self, forKey: "n")
    measurements = try stored.measurements(of: decoder.metrics)
    digest = try stored.decode(Digest.self, forKey: "digest")
  }

  public func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: DocumentKey.self)
    try document.encode(n, forKey: "n")
    try document.encode(measurements)
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
