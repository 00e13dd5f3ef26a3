import ArgumentParser
import Backtrail
import Runs

/// The options for a run whose iterates are computed again.
struct StoredRunOptions: ParsableArguments {
  @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
  var folder: String

  @Flag(help: "Replay with other numerics than the run's, and so to other bits.")
  var allowNumericsChange = false

  func open(repairs: Bool = false) throws -> NetworkRun {
    try NetworkRun.open(folder, allowNumericsChange: allowNumericsChange, repairs: repairs)
  }
}

/// The option that selects one of a run's seeds.
struct SeedOption: ParsableArguments {
  @Option(help: "The seed, of a run with several. (default: the run's first)")
  var seed: Int?

  func seed(of run: NetworkRun) -> Int { seed ?? run.workload.seeds.lowerBound }
}
