import Foundation
import Replay
import Storage

extension RunResult {
  /// What the row about a run says that it came to, without its iterates; nil for a run that has not finished.
  /// - Throws: `StorageError.damaged` where no run can have come to that.
  init?(_ record: RunRecord, of configuration: RunConfiguration, in folder: RunFolder) throws(StorageError) {
    guard let text = record.result else { return nil }
    var result = try decodeJSON(RunResult.self, from: text, in: folder).withoutIterates
    if let impossible = result.firstImpossible(configuration) {
      throw .damaged(path: folder.databasePath, reason: "its row about the run can't be right: \(impossible)")
    }
    // It may have been moved or copied since.
    result.run = folder.path
    self = result
  }

  /// The first thing that no run of the configuration can have come to; nil where all of it is possible. Numbers that are possible
  /// can be added, shown and compared without care.
  private func firstImpossible(_ configuration: RunConfiguration) -> String? {
    let figures = Possible.count("gradientEvaluations", gradientEvaluations)
      ?? Possible.count("predictedGradientEvaluations", predictedGradientEvaluations)
      ?? Possible.count("peakResidentBytes", peakResidentBytes) ?? Possible.count("predictedPeakBytes", predictedPeakBytes)
      ?? Possible.count("checkpointBytes", checkpointBytes) ?? Possible.count("stateBytes", stateBytes)
      ?? Possible.count("lanes", lanes, in: 1...1024)
      ?? Possible.size("wallSeconds", wallSeconds) ?? Possible.size("secondsPerUpdate", secondsPerUpdate)
      ?? Possible.size("secondsPerObservation", secondsPerObservation)
    if let figures { return figures }
    let asked = Set(configuration.orders.map { OrderRequest($0).order })
    func isOrder(_ name: String) -> Bool { asked.contains(name) || filePath(in: name) == nil && (try? CompositionOrder(name)) != nil }
    let averageNames = Set(configuration.averages.map(TrainingRun.averageName))
    for (series, isKnown) in orders.map({ ($0, isOrder($0.order)) }) + averages.map({ ($0, averageNames.contains($0.order)) }) {
      guard isKnown else { return "it has no series '\(series.order.prefix(100))'" }
      guard configuration.seeds.contains(series.seed) else { return "it has no seed \(series.seed)" }
      if let impossible = Possible.count("gradientEvaluations", series.gradientEvaluations) { return impossible }
    }
    let names = Set((orders + averages).map(\.order))
    for line in summary {
      guard names.contains(line.series) else { return "its summary has the series '\(line.series.prefix(100))', which it has not" }
      if let impossible = line.firstImpossible { return impossible }
    }
    guard Set(summary.map(\.series)).count == summary.count else { return "its summary has a series twice" }
    for finding in findings ?? [] {
      guard asked.contains(finding.order) || isOrder(finding.order) else { return "it found something of the order '\(finding.order.prefix(100))', which it has not" }
      if let impossible = finding.firstImpossible { return impossible }
    }
    return nil
  }
}

extension SeriesSummary {
  fileprivate var firstImpossible: String? {
    Possible.loss("testLoss", testLoss) ?? Possible.size("testLossSpread", testLossSpread, upTo: Possible.largestLoss)
      ?? Possible.size("testAccuracy", testAccuracy, upTo: 1) ?? Possible.size("testAccuracySpread", testAccuracySpread, upTo: 1)
      ?? Possible.size("neighbourNoise", neighbourNoise, upTo: Possible.largestLoss)
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

/// What a number can be. Each function returns what is wrong with it; nil where nothing is.
private enum Possible {
  static let largestLoss = Observation.largestLoss

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
