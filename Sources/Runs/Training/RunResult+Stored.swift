import Formats
import Foundation
import Replay
import Tensors

extension RunResult {
  /// The result in a run's row, without iterates; nil for a run that has not finished.
  /// - Throws: `StorageError.damaged` if no run can have this result.
  init?(_ record: RunRecord, of description: RunDescription, in folder: RunFolder) throws(StorageError) {
    guard let text = record.result else { return nil }
    let metrics = description.problem.metrics
    var result = try decodeJSON(RunResult.self, from: text, metrics: metrics, in: folder).withoutIterates
    if let impossible = result.firstImpossible(description.workload) {
      throw .damaged(path: folder.databasePath, reason: "its row about the run can't be right: \(impossible)")
    }
    // The folder may have been moved or copied since.
    result.run = folder.path
    self = result
  }

  /// The first number that no run of the workload can have as its result; nil if all are possible. Possible numbers
  /// can be added, shown and compared without further checks.
  private func firstImpossible(_ workload: WorkloadDescription) -> String? {
    if let impossible = Possible.count("skippedGradientEvaluations", skippedGradientEvaluations ?? 0) { return impossible }
    let figures = Possible.count("gradientEvaluations", gradientEvaluations)
      ?? Possible.count("predictedGradientEvaluations", predictedGradientEvaluations)
      ?? Possible.count("peakResidentBytes", peakResidentBytes) ?? Possible.count("predictedPeakBytes", predictedPeakBytes)
      ?? Possible.count("checkpointBytes", checkpointBytes) ?? Possible.count("stateBytes", stateBytes)
      ?? Possible.count("lanes", lanes, in: 1...Budgets.mostLanes)
      ?? Possible.size("wallSeconds", wallSeconds) ?? Possible.size("secondsPerUpdate", secondsPerUpdate)
      ?? Possible.size("secondsPerObservation", secondsPerObservation)
    if let figures = figures ?? Possible.size("averagingSeconds", averagingSeconds) { return figures }
    let asked = Set(workload.askedSeries)
    func isOrder(_ series: Series) -> Bool { series.order.map { asked.contains(series) || $0.file == nil } ?? false }
    for (curve, isKnown) in orders.map({ ($0, isOrder($0.series)) }) + averages.map({ ($0, asked.contains($0.series)) }) {
      guard isKnown else { return "it has no series '\(curve.series.description.prefix(100))'" }
      guard workload.seeds.contains(curve.seed) else { return "it has no seed \(curve.seed)" }
      if let impossible = Possible.count("gradientEvaluations", curve.gradientEvaluations) { return impossible }
    }
    let names = Set((orders + averages).map(\.series.description))
    for line in summary {
      guard names.contains(line.name) else { return "its summary has the series '\(line.name.prefix(100))', which it has not" }
      if let impossible = line.firstImpossible { return impossible }
    }
    guard Set(summary.map(\.name)).count == summary.count else { return "its summary has a series twice" }
    let askedNames = Set(workload.orders.map { ObservedOrder.parts(of: $0).order })
    for finding in findings ?? [] {
      guard askedNames.contains(finding.order) || Series(finding.order).map(isOrder) ?? false else {
        return "it found something of the order '\(finding.order.prefix(100))', which it has not"
      }
      if let impossible = finding.firstImpossible { return impossible }
    }
    return nil
  }
}

extension SeriesSummary {
  fileprivate var firstImpossible: String? {
    for (metric, value) in zip(measurements?.metrics ?? [], measurements?.values ?? []) where !metric.range.contains(value) {
      return "its \(metric.name) is \(value)"
    }
    if let trainingLoss, let impossible = Possible.loss("trainingLoss", trainingLoss) { return impossible }
    for divergence in diverged where !(1...BatchRun.largestBatch).contains(divergence.n) || !RowBounds.possibleSeeds.contains(divergence.seed) {
      return "it diverged at \(divergence.n) for the seed \(divergence.seed)"
    }
    for spread in spreads ?? [] { if let impossible = Possible.size("spread", spread, upTo: Possible.largestLoss) { return impossible } }
    return Possible.size("neighbourNoise", neighbourNoise, upTo: Possible.largestLoss)
      ?? Possible.count("gradientEvaluations", gradientEvaluations) ?? Possible.size("laneSeconds", laneSeconds)
  }
}

extension AdaptiveFinding {
  fileprivate var firstImpossible: String? {
    if let approximation, (try? CompositionOrder(approximation)) == nil { return "there is no order '\(approximation.prefix(100))'" }
    let iterates = 1...BatchRun.largestBatch
    for n in exactPoints ?? [] where !iterates.contains(n) { return "there is no iterate \(n)" }
    return Possible.count("observed", observed, in: 0...BatchRun.largestBatch)
      ?? tail.flatMap { Possible.count("tail", $0, in: iterates) }
      ?? Possible.size("estimatedError", estimatedError, upTo: Possible.largestLoss)
      ?? Possible.size("checkedError", checkedError, upTo: Possible.largestLoss)
      ?? [tailChange, tailError].lazy.compactMap { $0 }.compactMap { estimate in
        Possible.loss("mean", estimate.mean) ?? Possible.size("halfWidth", estimate.halfWidth, upTo: 100 * Possible.largestLoss)
      }.first
  }
}

/// The ranges of numbers in a result. Each function describes what is wrong with a number; nil if it is in range.
private enum Possible {
  static let largestLoss = Metric.largestMagnitude

  static func count(_ name: String, _ number: Int, in range: ClosedRange<Int> = 0...ReplayPlan.mostUpdates) -> String? {
    range.contains(number) ? nil : "its \(name) is \(number)"
  }

  static func size(_ name: String, _ number: Double?, upTo limit: Double = 1e15) -> String? {
    number.flatMap { (0...limit).contains($0) ? nil : "its \(name) is \($0)" }
  }

  static func loss(_ name: String, _ number: Double) -> String? {
    size(name, abs(number), upTo: largestLoss).map { _ in "its \(name) is \(number)" }
  }
}
