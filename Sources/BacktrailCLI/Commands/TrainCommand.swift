import ArgumentParser
import Backtrail
import Runs
import Foundation
import Replay
import Tensors

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
    let specification = try RunSpecification(
      configuration, initial: try await readInitialTensors(configuration.initial, isQuiet: json))
    let run = try NetworkRun.create(at: out ?? RunNames.new(), specification)
    let result = try await finish(run, isQuiet: json)
    try inTurn(
      { if json { try printJSON(run.document(result)) } else { try printResult(summaryTable(result, of: run.description)) } },
      { try chart.write { curveChart(try run.observed(result), of: run.description) } })
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

  @Option(help: "What the process may take, such as 400MiB, or auto for what the system allows; it changes no bit. (default: the run's)")
  var memoryBudget: String?

  @Flag(help: "Go on with other numerics than the run's, and so to other bits.")
  var allowNumericsChange = false

  @OptionGroup var chart: ChartOption

  @Flag(help: "Print one JSON document instead of the table, and no progress.")
  var json = false

  func run() async throws {
    try chart.check()
    let memory = try memoryBudget.map { try SettingsTable.memoryBudget($0) }
    let run = try NetworkRun.open(
      runFolder, steps: steps, lanes: lanes, memoryBudget: memory, allowNumericsChange: allowNumericsChange)
    let result = try await finish(run, isQuiet: json)
    try inTurn(
      { if json { try printJSON(run.document(result)) } else { try printResult(summaryTable(result, of: run.description)) } },
      { try chart.write { curveChart(try run.observed(result), of: run.description) } })
  }
}

/// Trains `run` to its end and shows the progress. A cancelled task stops it so that it can be resumed.
func finish(_ run: NetworkRun, isQuiet: Bool) async throws -> RunResult {
  let specification = run.specification
  let progress = ReplayProgress()
  let reporter = isQuiet ? nil : ProgressReporter(progress, observationCost: run.problem.observationCost)
  let storing = Storing()
  stopWords = "\(RunError.interrupted(run: run.folder.path))"
  var listener = TrainingListener()
  listener.didNotice = { printToStandardError("backtrail: \(withFlags($0))") }
  if !isQuiet {
    printToStandardError("\(run.folder.path): \(words(specification))")
    if let limit = specification.budgets.memory { printToStandardError(describe(limit)) }
    if let choice = specification.memoryChoice { printToStandardError("chosen for it: \(describe(choice))") }
    if let budget = run.workload.costBudget { printToStandardError(describe(budget)) }
  }
  // With automatic schedules there is one plan per round; only the first is reported.
  let wasTold = Lock(isQuiet)
  listener.willFollow = { plan in
    storing.begin()
    guard wasTold.withLock({ told in defer { told = true }; return !told }) else { return }
    let observations = plan.observationCount + plan.averageObservationCount
    printToStandardError(
      "\(count(plan.gradientEvaluations, "gradient evaluation")) and \(count(observations, "observation")) ahead\(run.workload.isAdaptive ? " at first" : "")")
  }
  defer {
    storing.end()
    reporter?.stop()
  }
  return try await whileThere(run.folder.path) { [listener] in try await run.finish(holdsIterates: false, progress: progress, listener: listener) }
}

/// Runs `body`, which writes to a folder, and stops it once the folder is no longer in its place. Open files would
/// otherwise accept everything written and lose it.
/// - Throws: `OutputError.folderGone`, and the errors of `body`.
private func whileThere<Value: Sendable>(
  _ folder: String, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  func number() -> Int? { (try? FileManager.default.attributesOfItem(atPath: folder))?[.systemFileNumber] as? Int }
  let there = number()
  return try await withThrowingTaskGroup(of: Value?.self) { group in
    group.addTask { try await body() }
    group.addTask {
      while number() == there {
        // The task was cancelled, so the result of the body decides.
        guard (try? await Task.sleep(for: .milliseconds(500))) != nil else { return nil }
      }
      throw OutputError.folderGone(folder)
    }
    defer { group.cancelAll() }
    do {
      for try await value in group {
        if let value { return value }
      }
    } catch {
      // If the folder is gone, that is the cause of any other error.
      throw number() == there ? error : OutputError.folderGone(folder)
    }
    throw CancellationError()
  }
}

private func words(_ specification: RunSpecification<NetworkProblem>) -> String {
  let (problem, workload) = (specification.problem, specification.workload)
  let learning = specification.description.learning.map { ", \($0)" } ?? ""
  return """
    \(problem.name), a state of \(size(specification.stateBytes)), batch \(problem.batchSize)\(learning), \
    \(grouped(workload.steps)) steps\(workload.seeds.count > 1 ? ", \(workload.seeds.count) seeds" : ""), \
    \(count(specification.resources.lanes, "lane"))
    """
}

/// Makes names for runs whose folder the user does not name.
enum RunNames {
  static let folder = "runs"

  /// A folder in `runs/` that does not exist yet, named by date and time.
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
