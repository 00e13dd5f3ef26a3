import Backtrail
import Runs
import Dispatch
import Foundation
import Replay

/// Shows the progress of a replay on standard error: a bar on a terminal, otherwise a line every ten seconds.
final class ProgressReporter {
  private let timer: any DispatchSourceTimer
  private let isTerminal: Bool

  /// - Parameter observationCost: The approximate cost of an observation, in updates.
  convenience init(_ progress: ReplayProgress, observationCost: Double = 0) {
    self.init {
      let total = Double(progress.plannedGradientEvaluations) + observationCost * Double(progress.plannedObservations)
      let work = Double(progress.gradientEvaluations) + observationCost * Double(progress.observations)
      return (work / total, progress.gradientEvaluations, progress.plannedGradientEvaluations)
    }
  }

  /// - Parameter look: Returns the fraction of the work done, and the numbers of updates done and planned.
  private init(_ look: @escaping @Sendable () -> (fraction: Double, updates: Int, planned: Int)) {
    let isTerminal = isatty(STDERR_FILENO) == 1
    self.isTerminal = isTerminal
    let begin = ContinuousClock.now
    let interval: DispatchTimeInterval = isTerminal ? .milliseconds(200) : .seconds(10)
    timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "progress"))
    timer.schedule(deadline: .now() + interval, repeating: interval)
    timer.setEventHandler {
      let (fraction, updates, planned) = look()
      // Nothing is planned yet, or there is nothing to do.
      guard fraction.isFinite else { return }
      let line = Self.line(
        fraction: fraction, done: updates, total: planned, seconds: (ContinuousClock.now - begin) / .seconds(1),
        barWidth: isTerminal ? 24 : 0)
      printToStandardError(isTerminal ? "\r\u{1B}[K\(line)" : line, terminator: isTerminal ? "" : "\n")
    }
    timer.resume()
  }

  /// Stops reporting and clears the bar.
  func stop() {
    guard !timer.isCancelled else { return }
    timer.cancel()
    if isTerminal { printToStandardError("\r\u{1B}[K", terminator: "") }
  }

  /// A line such as `[######------] 50 %, 500 of 1,000 updates, 2,500 a second, 12 s left`.
  static func line(fraction: Double, done: Int, total: Int, seconds: Double, barWidth: Int) -> String {
    let fraction = min(1, fraction)
    let filled = min(barWidth, Int(fraction * Double(barWidth)))
    let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: barWidth - filled)
    let left = fraction > 0 ? duration(seconds * (1 - fraction) / fraction) + " left" : "time left unknown"
    return """
      \(bar.isEmpty ? "" : "[\(bar)] ")\(Int(fraction * 100)) %, \(grouped(done)) of \(grouped(total)) updates, \
      \(grouped(Int(Double(done) / max(seconds, 1e-3)))) a second, \(left)
      """
  }
}

/// Says on standard error what is measured: on a terminal in one line that is rewritten, otherwise in a line for each measurement.
final class MeasurementReporter: Sendable {
  private let isTerminal = isatty(STDERR_FILENO) == 1

  /// - Parameter words: What is measured next, in words that follow "measuring".
  func report(_ words: String) {
    printToStandardError(isTerminal ? "\r\u{1B}[Kmeasuring \(words)" : "measuring \(words)", terminator: isTerminal ? "" : "\n")
  }

  /// Clears the line on a terminal.
  func stop() {
    if isTerminal { printToStandardError("\r\u{1B}[K", terminator: "") }
  }
}
