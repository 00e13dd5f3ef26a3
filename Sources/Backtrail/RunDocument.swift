import Storage

/// What `train --json` prints: a run's result with all of its iterates, which are read while they are written, so that a
/// document takes the same memory however many there are.
public struct RunDocument: Encodable, Sendable {
  let result: RunResult
  let iterates: ObservedIterates

  public func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: RunResult.CodingKeys.self)
    try document.encode(result.run, forKey: .run)
    try document.encode(result.orders.map(series), forKey: .orders)
    try document.encode(result.averages.map(series), forKey: .averages)
    try document.encode(result.summary, forKey: .summary)
    try document.encode(result.gradientEvaluations, forKey: .gradientEvaluations)
    try document.encode(result.predictedGradientEvaluations, forKey: .predictedGradientEvaluations)
    try document.encode(result.wallSeconds, forKey: .wallSeconds)
    try document.encodeIfPresent(result.secondsPerUpdate, forKey: .secondsPerUpdate)
    try document.encodeIfPresent(result.secondsPerObservation, forKey: .secondsPerObservation)
    try document.encode(result.predictedPeakBytes, forKey: .predictedPeakBytes)
    try document.encodeIfPresent(result.findings, forKey: .findings)
    try document.encode(result.checkpointBytes, forKey: .checkpointBytes)
    try document.encode(result.stateBytes, forKey: .stateBytes)
    try document.encode(result.lanes, forKey: .lanes)
    try document.encode(result.fingerprint, forKey: .fingerprint)
    // Last, so that what writing the rest took is in it.
    let peak = result.isOfThisProcess ? max(result.peakResidentBytes, ResidentMemory.peakBytes) : result.peakResidentBytes
    try document.encode(peak, forKey: .peakResidentBytes)
  }

  private func series(_ series: RunResult.Series) -> SeriesDocument { SeriesDocument(series: series, iterates: iterates) }
}

private struct SeriesDocument: Encodable {
  let series: RunResult.Series
  let iterates: ObservedIterates

  func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: RunResult.Series.CodingKeys.self)
    try document.encode(series.order, forKey: .order)
    try document.encode(series.seed, forKey: .seed)
    try document.encode(series.gradientEvaluations, forKey: .gradientEvaluations)
    var list = document.nestedUnkeyedContainer(forKey: .iterates)
    try iterates.forEach(of: series.order, seed: series.seed) { try list.encode($0) }
  }
}

/// The document `runs show --json` prints. Observations are read while they are written.
extension StoredRun: Encodable {
  private enum CodingKeys: String, CodingKey {
    case run, status, createdAt, configuration, fingerprint, observations, result
  }

  public func encode(to encoder: any Encoder) throws {
    let database = try database()
    var document = encoder.container(keyedBy: CodingKeys.self)
    try document.encode(run, forKey: .run)
    try document.encode(status, forKey: .status)
    try document.encode(createdAt, forKey: .createdAt)
    try document.encode(configuration, forKey: .configuration)
    try document.encode(fingerprint, forKey: .fingerprint)
    try document.encodeIfPresent(
      result.map { RunDocument(result: $0, iterates: ObservedIterates(database: database)) }, forKey: .result)
    var observations = document.nestedUnkeyedContainer(forKey: .observations)
    try database.forEachObservation { try observations.encode($0) }
  }
}

extension StoredRun {
  /// The run's database, opened anew each time: of many runs, few are read from.
  func database() throws -> RunDatabase { try RunDatabase.open(RunFolder.open(run)) }

  /// All observations in memory, by seed, series and n.
  public func observations() throws -> [Observation] { try database().observations() }
}

extension TrainingRun {
  /// The document of a result of this run.
  public func document(_ result: RunResult) -> RunDocument {
    RunDocument(result: result, iterates: ObservedIterates(database: database))
  }

  /// What was observed of the orders and averages that a result is about.
  public func observed(_ result: RunResult) throws -> [ObservedSeries] {
    try ObservedIterates(database: database).series(result.summary.map(\.series), seeds: experiment.configuration.seeds)
  }
}
