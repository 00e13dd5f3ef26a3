import Dispatch
import Foundation
import Replay

/// Shows how far a replay is on standard error: a bar on a terminal, a line every ten seconds elsewhere.
final class ProgressReporter {
  private let timer: any DispatchSourceTimer
  private let isTerminal: Bool

  init(_ progress: ReplayProgress, total: Int) {
    let isTerminal = isatty(STDERR_FILENO) == 1
    self.isTerminal = isTerminal
    let begin = ContinuousClock.now
    let interval: DispatchTimeInterval = isTerminal ? .milliseconds(200) : .seconds(10)
    timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "progress"))
    timer.schedule(deadline: .now() + interval, repeating: interval)
    timer.setEventHandler {
      let done = progress.gradientEvaluations
      let elapsed = (ContinuousClock.now - begin) / .seconds(1)
      let line = Self.line(done: done, total: total, seconds: elapsed, width: isTerminal ? 24 : 0)
      printToStandardError(isTerminal ? "\r\u{1B}[K\(line)" : line, terminator: isTerminal ? "" : "\n")
    }
    timer.resume()
  }

  /// No more lines; the bar is wiped away.
  func stop() {
    guard !timer.isCancelled else { return }
    timer.cancel()
    if isTerminal { printToStandardError("\r\u{1B}[K", terminator: "") }
  }

  /// Such as `[######------] 50 %, 500 of 1,000 updates, 2,500 a second, 12 s left`.
  static func line(done: Int, total: Int, seconds: Double, width: Int) -> String {
    let fraction = total > 0 ? Double(done) / Double(total) : 1
    let rate = seconds > 0 ? Double(done) / seconds : 0
    let filled = Int(fraction * Double(width))
    let bar = width > 0 ? "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled) + "] " : ""
    let left = rate > 0 ? duration(Double(total - done) / rate) + " left" : "time left unknown"
    return "\(bar)\(Int(fraction * 100)) %, \(grouped(done)) of \(grouped(total)) updates, \(grouped(Int(rate))) a second, \(left)"
  }
}
