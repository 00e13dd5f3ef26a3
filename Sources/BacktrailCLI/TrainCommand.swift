import ArgumentParser
import Backtrail
import Foundation
import Replay

struct TrainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a model in one or more composition orders of the same batches, and compare them.")

  @OptionGroup var options: RunOptions

  @Option(help: "The folder of the run; it must be new. (default: a new folder in runs/)")
  var out: String?

  @Flag(help: "Print one JSON document instead of the table, and no progress.")
  var json = false

  func run() async throws {
    let experiment = try Experiment(try options.configuration())
    let run = try TrainingRun.create(experiment, at: out ?? RunNames.new())
    let plan = experiment.plan()
    if !json {
      printToStandardError(
        """
        \(run.folder.path): \(describe(experiment))
        \(grouped(plan.gradientEvaluations)) gradient evaluations and \
        \(grouped(plan.observationCount + plan.averageObservationCount)) observations ahead
        """)
    }
    let progress = ReplayProgress()
    let observations = plan.observationCount + plan.averageObservationCount
    let reporter =
      json
      ? nil
      : ProgressReporter(
        progress, updates: plan.gradientEvaluations, observations: observations,
        observationCost: experiment.observationCost)
    let result: RunResult
    do {
      result = try await run.train(progress: progress)
    } catch {
      reporter?.stop()
      throw error
    }
    reporter?.stop()
    if json {
      try printJSON(result)
    } else {
      print(summaryTable(result, configuration: experiment.configuration))
    }
  }

  private func describe(_ experiment: Experiment) -> String {
    let configuration = experiment.configuration
    return """
      \(configuration.model) on \(experiment.dataset.name), batch \(experiment.batchSize), \
      learning rate \(configuration.learningRate), \(grouped(configuration.steps)) steps\
      \(configuration.seedCount > 1 ? ", \(configuration.seedCount) seeds" : ""), \
      \(configuration.lanes) lane\(configuration.lanes == 1 ? "" : "s")
      """
  }
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
