import Dispatch
import Foundation
import Synchronization
import Tensors

/// Runs `body` until it ends, or until SIGINT, SIGTERM or SIGHUP cancels its task, so that states are stored and
/// files removed.
///
/// If the body has not ended a second later, because it reads data or measures, the process is ended, unless there is
/// something to store. A second signal ends the process at once.
///
/// Call this once per process: a source of signals made after another was cancelled can miss signals.
/// - Throws: The errors of `body`.
func stoppable<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
  // The body begins only when signals are handled, so that none can be missed.
  let (gate, opening) = AsyncStream.makeStream(of: Void.self)
  let task = Task {
    for await _ in gate {}
    try Task.checkCancellation()
    return try await body()
  }
  let signals = [SIGINT, SIGTERM, SIGHUP].filter { !isIgnored($0) }.map { signal in StopSignal(signal) { task.cancel() } }
  opening.finish()
  defer { signals.forEach { $0.ignore() } }
  return try await task.value
}

/// Runs a body that must not be aborted: once stopped, it stores its states or removes its files, however long that
/// takes.
func untilStored<Value>(_ body: () async throws -> Value) async rethrows -> Value {
  let storing = Storing()
  storing.begin()
  defer { storing.end() }
  return try await body()
}

/// Marks a part of a command that must not be aborted, if it is not a closure of its own.
final class Storing: Sendable {
  private let isUnderWay = Atomic(false)

  func begin() { if !isUnderWay.exchange(true, ordering: .relaxed) { stop.withLock { $0.unstored += 1 } } }
  func end() { if isUnderWay.exchange(false, ordering: .relaxed) { stop.withLock { $0.unstored -= 1 } } }
}

/// The message to the user when a signal has stopped the command.
var stopWords: String {
  get { stop.withLock { $0.words } }
  set { stop.withLock { $0.words = newValue } }
}

/// The progress of the process towards its end.
private struct Stop {
  /// The time of the first signal.
  var asked: ContinuousClock.Instant?
  /// The number of parts of the command that must not be aborted.
  var unstored = 0
  var words = "interrupted; give the same command again"
}

private let stop = Lock(Stop())

/// Whether the process was started with the signal ignored, as by `nohup`.
private func isIgnored(_ number: Int32) -> Bool {
  // Installing a handler returns the previous one.
  let before = signal(number, SIG_IGN)
  signal(number, before)
  return unsafeBitCast(before, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
}

/// Calls a handler when a signal arrives, instead of ending the process.
private struct StopSignal {
  private let number: Int32
  private let source: any DispatchSourceSignal

  init(_ number: Int32, handler: @escaping @Sendable () -> Void) {
    self.number = number
    let queue = DispatchQueue(label: "signal \(number)")
    signal(number, SIG_IGN)
    source = DispatchSource.makeSignalSource(signal: number, queue: queue)
    source.setEventHandler {
      let first = stop.withLock { stop in
        defer { stop.asked = stop.asked ?? .now }
        return stop.asked
      }
      if let first {
        // Programs that stop a group of processes, such as 'timeout', send the same signal twice.
        if .now - first > .milliseconds(200) { _exit(128 + number) }
        return
      }
      handler()
      Self.endUnlessStoring(on: queue)
    }
    source.resume()
  }

  /// Ends the process after a second, or as soon afterwards as nothing is left to store.
  private static func endUnlessStoring(on queue: DispatchQueue) {
    queue.asyncAfter(deadline: .now() + 1) {
      guard stop.withLock({ $0.unstored == 0 }) else { return endUnlessStoring(on: queue) }
      printToStandardError("backtrail: \(stopWords)")
      _exit(ExitStatus.interrupted.rawValue)
    }
  }

  /// Restores the default, so that the signal ends the process again.
  func ignore() {
    source.cancel()
    signal(number, SIG_DFL)
  }
}
