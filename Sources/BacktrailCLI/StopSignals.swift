import Dispatch
import Foundation

/// Runs `body` until it ends or SIGINT, SIGTERM or SIGHUP cancels its task, so that states are stored and files go.
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
  let signals = [SIGINT, SIGTERM, SIGHUP].map { signal in StopSignal(signal) { task.cancel() } }
  opening.finish()
  defer { signals.forEach { $0.ignore() } }
  return try await task.value
}

/// Calls a handler when a signal comes, instead of the process ending.
private struct StopSignal {
  private let number: Int32
  private let source: any DispatchSourceSignal

  init(_ number: Int32, handler: @escaping @Sendable () -> Void) {
    self.number = number
    signal(number, SIG_IGN)
    source = DispatchSource.makeSignalSource(signal: number, queue: DispatchQueue(label: "signal \(number)"))
    source.setEventHandler(handler: handler)
    source.resume()
  }

  /// The signal ends the process again.
  func ignore() {
    source.cancel()
    signal(number, SIG_DFL)
  }
}
