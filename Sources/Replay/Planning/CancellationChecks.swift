/// Makes long work cancellable: it can be called at every small step and checks only now and then whether the
/// surrounding task was cancelled.
package struct CancellationChecks {
  private var count = 0

  package init() {}

  /// - Throws: `CancellationError` soon after the surrounding task is cancelled.
  package mutating func check() throws {
    count += 1
    if count % 4096 == 0 { try Task.checkCancellation() }
  }
}
