import Formats
import Replay
import Tensors

/// The document that `train --json` prints: a run's result with all of its iterates. They are read while they are
/// written, so a document takes the same memory however many there are.
public struct RunDocument: Encodable, Sendable {
  let result: RunResult
  let iterates: ObservedIterates

  public func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: RunResult.CodingKeys.self)
    try document.encode(result.run, forKey: .run)
    try document.encode(result.orders.map(curve), forKey: .orders)
    try document.encode(result.averages.map(curve), forKey: .averages)
    try document.encode(result.summary, forKey: .summary)
    try document.encode(result.gradientEvaluations, forKey: .gradientEvaluations)
    try document.encode(result.predictedGradientEvaluations, forKey: .predictedGradientEvaluations)
    try document.encodeIfPresent(result.skippedGradientEvaluations, forKey: .skippedGradientEvaluations)
    try document.encode(result.wallSeconds, forKey: .wallSeconds)
    try document.encodeIfPresent(result.secondsPerUpdate, forKey: .secondsPerUpdate)
    try document.encodeIfPresent(result.secondsPerObservation, forKey: .secondsPerObservation)
    try document.encodeIfPresent(result.averagingSeconds, forKey: .averagingSeconds)
    try document.encode(result.predictedPeakBytes, forKey: .predictedPeakBytes)
    try document.encodeIfPresent(result.findings, forKey: .findings)
    try document.encode(result.checkpointBytes, forKey: .checkpointBytes)
    try document.encode(result.stateBytes, forKey: .stateBytes)
    try document.encode(result.lanes, forKey: .lanes)
    try document.encode(result.fingerprint, forKey: .fingerprint)
    // The peak is written last, so that it includes the memory for writing the rest.
    let peak = result.isOfThisProcess ? max(result.peakResidentBytes, ResidentMemory.peakBytes) : result.peakResidentBytes
    try document.encode(peak, forKey: .peakResidentBytes)
  }

  private func curve(_ curve: RunResult.Curve) -> CurveDocument { CurveDocument(curve: curve, iterates: iterates) }
}

private struct CurveDocument: Encodable {
  let curve: RunResult.Curve
  let iterates: ObservedIterates

  func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: RunResult.Curve.CodingKeys.self)
    try document.encode(curve.series, forKey: .series)
    try document.encode(curve.seed, forKey: .seed)
    try document.encode(curve.gradientEvaluations, forKey: .gradientEvaluations)
    var list = document.nestedUnkeyedContainer(forKey: .iterates)
    var diverged = try iterates.diverged(of: curve.series, seed: curve.seed)[...]
    func encodeDiverged(before n: Int) throws {
      while let first = diverged.first, first < n {
        try list.encode(DocumentedIterate(divergedAt: first, metrics: iterates.metrics))
        diverged = diverged.dropFirst()
      }
    }
    try iterates.forEach(of: curve.series, seed: curve.seed) {
      try encodeDiverged(before: $0.n)
      try list.encode($0)
    }
    try encodeDiverged(before: .max)
  }
}

extension Run {
  /// The document of a result of this run.
  public func document(_ result: RunResult) -> RunDocument {
    RunDocument(result: result, iterates: ObservedIterates(database: database))
  }

  /// The observations of the orders and averages in a result.
  public func observed(_ result: RunResult) throws -> [ObservedSeries] {
    try ObservedIterates(database: database).series(result.summary.compactMap(\.series), seeds: workload.seeds)
  }
}
