import ArgumentParser
import Backtrail
import Runs
import Replay

/// The options that name an iterate of a run, for commands that recall one.
struct IterateOptions: ParsableArguments {
  @OptionGroup var stored: StoredRunOptions

  @Option(help: "The composition order: \(CompositionOrder.forms).")
  var order: String

  @Option(help: "n; 0 is the initial state.")
  var iterate: Int

  @OptionGroup var seedOption: SeedOption

  @OptionGroup var cost: CostOptions

  static let note = "The iterate need not have been observed: it is replayed from the nearest stored state on its path."

  func validate() throws {
    guard iterate >= 0 else { throw ValidationError("--iterate is \(iterate), but must be 0 or more") }
  }

  /// - Parameter isQuiet: Whether the cost of the replay is not reported.
  func open(isQuiet: Bool) throws -> (run: NetworkRun, order: CompositionOrder, seed: Int) {
    let run = try stored.open()
    let (order, seed) = (try run.order(order), seedOption.seed(of: run))
    try cost.allowRecall(of: order, n: iterate, seed: seed, in: run, isQuiet: isQuiet)
    return (run, order, seed)
  }
}
