import ArgumentParser
import Backtrail
import Foundation
import Replay
import Synchronization

struct TrainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a model in one or more composition orders of the same batches, and compare them.")

  @OptionGroup var options: RunOptions

  @Option(help: "The folder of the run; it must be new. (default: a new folder in runs/)")
  var out: String?

  @OptionGroup var chart: ChartOption

  @Flag(help: "Print one JSON document instead of the table, and no progress.")
  var json = false

  func run() async throws {
    try chart.check()
    let configuration = try options.configuration()
    let experiment = try Experiment(configuration, initial: try await InitialTensors.read(configuration.initial))
    let run = try TrainingRun.create(experiment, at: out ?? RunNames.new())
    let result = try await stoppable { [json] in try await follow(run, isQuiet: json) }
    if json { try printJSON(run.document(result)) } else { print(summaryTable(result, configuration: run.experiment.configuration)) }
    try chart.write { curveChart(try run.observed(result), of: run.experiment.configuration) }
  }
}

struct ResumeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume",
    abstract: "Go on with an interrupted run, to the same bits as one never interrupted, or extend a finished one.",
    discussion: """
      What was observed is not computed again; what is left begins at the nearest checkpoints. The document of --json \
      holds all of the run's iterates; its counts and times are of this call, or those stored where there was nothing to do.
      """)

  @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
  var runFolder: String

  @Option(help: "A new N, to extend the run. (default: the run's)")
  var steps: Int?

  @Option(help: "Workers; they change no bit. (default: the run's)")
  var lanes: Int?

  @Option(help: "What the process may have resident, such as 400MiB; it changes no bit. (default: the run's)")
  var memoryBudget: String?

  @Flag(help: "Go on with other numerics than the run's, and so to other bits.")
  var allowNumericsChange = false

  @OptionGroup var chart: ChartOption

  @Flag(help: "Print one JSON document instead of the table, and no progress.")
  var json = false

  func run() async throws {
    try chart.check()
    let run = try TrainingRun.open(
      runFolder, steps: steps, lanes: lanes, memoryBudget: memoryBudget, allowNumericsChange: allowNumericsChange)
    let result = try await stoppable { [json] in try await follow(run, isQuiet: json) }
    if json { try printJSON(run.document(result)) } else { print(summaryTable(result, configuration: run.experiment.configuration)) }
    try chart.write { curveChart(try run.observed(result), of: run.experiment.configuration) }
  }
}

/// Trains `run` to its end, showing how far it is. A cancelled task stops it where it can be resumed.
func follow(_ run: TrainingRun, isQuiet: Bool) async throws -> RunResult {
  let experiment = run.experiment
  let progress = ReplayProgress()
  let reporter = isQuiet ? nil : ProgressReporter(progress, observationCost: experiment.observationCost)
  var listener = TrainingRun.Listener()
  listener.didNotice = { printToStandardError("backtrail: \($0)") }
  if !isQuiet {
    printToStandardError("\(run.folder.path): \(describe(experiment))")
    if let choice = experiment.memoryChoice { printToStandardError("memory budget: \(describe(choice))") }
    if let budget = experiment.configuration.costBudget { printToStandardError(describe(budget)) }
    // Where schedules are automatic, plans follow as their curves become known; the first says enough.
    let wasTold = Mutex(false)
    listener.willFollow = { plan in
      let observations = plan.observationCount + plan.averageObservationCount
      guard wasTold.withLock({ told in defer { told = true }; return !told }) else { return }
      printToStandardError(
        "\(grouped(plan.gradientEvaluations)) gradient evaluations and \(grouped(observations)) observations ahead\(experiment.isAdaptive ? " at first" : "")")
    }
  }
  defer { reporter?.stop() }
  return try await run.train(holdsIterates: false, progress: progress, listener: listener)
}

private func describe(_ experiment: Experiment) -> String {
  let configuration = experiment.configuration
  return """
    \(configuration.model) on \(experiment.dataset.name), batch \(experiment.batchSize), \(configuration.optimizer), \
    learning rate \(configuration.learningRate), \(grouped(configuration.steps)) steps\
    \(configuration.seedCount > 1 ? ", \(configuration.seedCount) seeds" : ""), \
    \(configuration.lanes) lane\(configuration.lanes == 1 ? "" : "s")
    """
}

/// Names for runs whose folder the user does not name.
enum RunNames {
  static let folder = "runs"

  /// A folder in `runs/` that is not there yet, named by date and time.
  static func new() -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.dateFormat = "yyyy-MM-dd-HHmmss"
    let name = "\(folder)/\(formatter.string(from: Date()))"
    var path = name
    var attempt = 2
    while FileManager.default.fileExists(atPath: path) {
      path = "\(name)-\(attempt)"
      attempt += 1
    }
    return path
  }
}
