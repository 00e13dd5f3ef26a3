import ArgumentParser
import Backtrail
import Runs
import Datasets
import Formats
import Replay

/// Reports the cost of a replay before it begins, and prevents a typing error from costing hours.
struct CostOptions: ParsableArguments {
  /// The largest number of updates that an iterate beyond the run's N may take without `--any-cost`.
  static let limit = 1_000_000

  @Flag(help: "Replay beyond the run's N even where that takes more than \(grouped(limit)) gradient evaluations.")
  var anyCost = false

  /// - Parameters:
  ///   - updates: The number of gradient evaluations ahead.
  ///   - n: The iterate they are for.
  /// - Throws: `RunError.impossible` if the iterate lies beyond the run and takes more than the limit.
  func allow(_ updates: Int, for n: Int, of order: CompositionOrder, in run: NetworkRun) throws(RunError) {
    if !anyCost { try Self.check(updates, for: n, of: order, in: run, otherwise: "--any-cost to do it all the same") }
  }

  /// Allows and reports the cost of an iterate that is recalled from the nearest stored state.
  /// - Parameter isQuiet: Whether the cost is not reported.
  func allowRecall(of order: CompositionOrder, n: Int, seed: Int, in run: NetworkRun, isQuiet: Bool) throws {
    let updates = try run.recallCost(of: order, n: n, seed: seed)
    try allow(updates, for: n, of: order, in: run)
    if !isQuiet { Self.tell(updates, for: n, of: order) }
  }

  fileprivate static func tell(_ updates: Int, for n: Int, of order: CompositionOrder) {
    if updates > 0 { printToStandardError("replaying iterate \(n) of \(order): \(count(updates, "gradient evaluation"))") }
  }

  /// - Parameter otherwise: Advice on how to do it nevertheless, for the message.
  fileprivate static func check(
    _ updates: Int, for n: Int, of order: CompositionOrder, in run: NetworkRun, otherwise: String
  ) throws(RunError) {
    let steps = run.workload.steps
    guard n > steps, updates > limit else { return }
    throw .impossible(
      """
      iterate \(n) of \(order) lies beyond the \(count(steps, "step")) of \(run.folder.path), and takes \
      \(count(updates, "gradient evaluation")) to bring back; give a smaller n, or \(otherwise)
      """)
  }
}

/// Reads the tensors that `--initial` names, if it is given.
/// - Parameter isQuiet: Whether the replay of an iterate for it is not reported.
func readInitialTensors(_ specification: String?, isQuiet: Bool) async throws -> InitialTensors? {
  let progress = ReplayProgress()
  let reporter = isQuiet ? nil : ProgressReporter(progress)
  defer { reporter?.stop() }
  return try await InitialTensors.read(specification, progress: progress) { run, order, n, seed in
    let updates = try run.recallCost(of: order, n: n, seed: seed)
    try CostOptions.check(
      updates, for: n, of: order, in: run, otherwise: "a file that 'backtrail export' with --any-cost has written")
    if !isQuiet { CostOptions.tell(updates, for: n, of: order) }
  }
}
