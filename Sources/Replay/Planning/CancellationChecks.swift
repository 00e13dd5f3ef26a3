/// Lets work that takes long be stopped: it checks now and then whether the surrounding task was cancelled, and so may be asked
/// at every small step.
struct CancellationChecks {
  private var count = 0

  /// - Throws: `CancellationError` soon after the surrounding task is cancelled.
  mutating func check() throws {
    count += 1
    if count % 4096 == 0 { try Task.checkCancellation() }
  }
}
