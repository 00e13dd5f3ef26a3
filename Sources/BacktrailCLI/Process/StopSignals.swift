import Dispatch
import Foundation
import Synchronization
import Tensors

/// Runs `body` until it ends or SIGINT, SIGTERM or SIGHUP cancels its task, so that states are stored and files go.
///
/// A body that has not ended a second later, since it reads data or measures, is ended with the process, unless it has
/// something to store. A second signal ends the process at once.
///
/// Once in a process: a source of signals that is made after another was cancelled can miss them.
/// - Throws: what `body` throws.
func stoppable<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
  // Nothing begins before signals are waited for, lest one come between.
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

/// Runs what must not be broken off: once stopped it stores its states or removes its files, however long that takes.
func untilStored<Value>(_ body: () async throws -> Value) async rethrows -> Value {
  let storing = Storing()
  storing.begin()
  defer { storing.end() }
  return try await body()
}

/// The part of a command that must not be broken off, where it does not begin with a body of its own.
final class Storing: Sendable {
  private let isUnderWay = Atomic(false)

  func begin() { if !isUnderWay.exchange(true, ordering: .relaxed) { stop.withLock { $0.unstored += 1 } } }
  func end() { if isUnderWay.exchange(false, ordering: .relaxed) { stop.withLock { $0.unstored -= 1 } } }
}

/// What the user is told when a signal has stopped the command.
var stopWords: String {
  get { stop.withLock { $0.words } }
  set { stop.withLock { $0.words = newValue } }
}

/// How far the process is on its way to an end.
private struct Stop {
  /// When the first signal came.
  var asked: ContinuousClock.Instant?
  /// How many parts of the command must not be broken off.
  var unstored = 0
  var words = "interrupted; give the same command again"
}

private let stop = Lock(Stop())

/// Whether the process was started with a signal ignored, as by `nohup`.
private func isIgnored(_ number: Int32) -> Bool {
  // Who installs a handler is told which was there.
  let before = signal(number, SIG_IGN)
  signal(number, before)
  return unsafeBitCast(before, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
}

/// Calls a handler when a signal comes, instead of the process ending.
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
        // Those who stop a group of processes, as 'timeout' does, send the same signal twice.
        if .now - first > .milliseconds(200) { _exit(128 + number) }
        return
      }
      handler()
      Self.endUnlessStoring(on: queue)
    }
    source.resume()
  }

  /// Ends the process in a second, or as soon after as nothing is left to store.
  private static func endUnlessStoring(on queue: DispatchQueue) {
    queue.asyncAfter(deadline: .now() + 1) {
      guard stop.withLock({ $0.unstored == 0 }) else { return endUnlessStoring(on: queue) }
      printToStandardError("backtrail: \(stopWords)")
      _exit(ExitStatus.interrupted.rawValue)
    }
  }

  /// The signal ends the process again.
  func ignore() {
    source.cancel()
    signal(number, SIG_DFL)
  }
}
