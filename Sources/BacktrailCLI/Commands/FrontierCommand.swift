import ArgumentParser
import Backtrail
import Runs
import Foundation
import Replay

struct FrontierCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "frontier",
    abstract: "Measure what cheaper ways to the backward curve cost, and how near to it they come.",
    discussion: """
      Trains exact backward and the given orders on the same batches in one run, shares what they share, and compares each \
      order, by its whole schedule and by sparser ones, with the exact curve. An order can have a schedule of its own: \
      --order tail:50@every:20. Takes the options of 'train'; --seeds K gives intervals. Without --order it compares \
      tails, a window, sliding windows, forward and its averages, each observed a hundred times.
      """)

  @OptionGroup var options: RunOptions

  @Option(help: "The folder of the run; it must be new. (default: a new folder in runs/)")
  var out: String?

  @Option(help: "Compare what this finished run observed, and train nothing.")
  var run: String?

  @Option(help: "The first n compared. (default: the middle of the run)")
  var compareFrom: Int?

  @Flag(inversion: .prefixedNo, help: "Bring last iterates back to compare their parameters.")
  var distance = true

  @Flag(help: "Print a row for every schedule of every order.")
  var allPoints = false

  @Option(help: "Write the points as comma-separated values.", transform: { try outputPath($0, ending: ".csv") })
  var csv: String?

  @Option(
    help: """
      Another way to spend the same examples, trained with the same seeds; repeat for several: \(Baseline.forms). \
      (default: cosine and batch:8 where --order is left out)
      """,
    transform: { try Baseline($0) })
  var baseline: [Baseline] = []

  @Option(
    help: """
      Measure what a setting costs that changes no order and no schedule; repeat for several: SETTING=V1,V2,…, \
      SETTING with values that fit the run, or all: \
      \(SweptSetting.names.joined(separator: ", ")).
      """,
    transform: { $0 == "all" ? SweptSetting.all : [try SweptSetting($0)] })
  var sweep: [[SweptSetting]] = []

  @Flag(help: "With --run: compare parameters of last iterates replayed with other numerics than the run's.")
  var allowNumericsChange = false

  @OptionGroup var chart: ChartOption

  @Option(help: "Draw the test loss by n of all orders, averages and baselines.", transform: { try outputPath($0, ending: ".svg") })
  var curves: String?

  @Flag(help: "Print one JSON document instead of the table, and no progress.")
  var json = false

  func validate() throws {
    if run != nil && out != nil { throw ValidationError("--run compares a run that is there, so --out can't be given with it") }
    if run == nil && allowNumericsChange {
      throw ValidationError("--allow-numerics-change is for a run that is there; give it with --run, or leave it out")
    }
    if let compareFrom, compareFrom < 1 { throw ValidationError("--compare-from is \(compareFrom), but must be 1 or more") }
    if let curves, curves == chart.chart { throw ValidationError("--chart and --curves both name \(curves); name two files") }
  }

  func run() async throws {
    for path in [csv, curves, chart.chart].compactMap({ $0 }) { try checkFolder(of: path) }
    let study = try study
    let training = if let run { try open(run, study) } else { try await train(study) }
    stopWords = """
      interrupted; the run itself is finished, and 'backtrail frontier --run \(training.folder.path)' with the same --baseline and \
      --sweep goes on
      """
    let outcome: FrontierStudy.Outcome
    do {
      let settings = try run == nil ? options.settings() : RunSettings(training.configuration)
      outcome = try await untilStored {
        try await study.measure(training, settings: settings, train: trainInAnotherProcess, didNotice: note)
      }
    } catch where Task.isCancelled {
      // Cancels, whatever error a training beside the run reported.
      throw CancellationError()
    }
    let frontier = outcome.frontier
    try inTurn(
      { if json { try printJSON(frontier) } else { try printResult(frontierTable(frontier, of: training.description, showsAll: allPoints)) } },
      { if let csv { try writeFile(frontierCSV(frontier), to: csv) } },
      { try chart.write { frontierChart(frontier, of: training.description) } },
      {
        guard let curves, let result = try training.result() else { return }
        let observed = try training.observed(result) + outcome.baselines.map(\.observed)
        try writeFile(curveChart(observed, of: training.description).svg(), to: curves)
      })
  }

  private var study: FrontierStudy {
    get throws {
      var study = FrontierStudy()
      study.comparesFrom = compareFrom
      study.measuresDistance = distance
      study.baselines = baseline
      if baseline.isEmpty, run == nil, try options.settings().orders == nil {
        study.usualBaselines = [.cosine, .largerBatch(size: 8, rate: 8)]
      }
      study.sweptSettings = sweep.flatMap { $0 }
      return study
    }
  }

  private func note(_ text: String) {
    if !json { printToStandardError("frontier: \(withFlags(text))") }
  }

  private func open(_ path: String, _ study: FrontierStudy) throws -> NetworkRun {
    guard try options.settings() == RunSettings() else {
      throw RunError.usage("`run` compares what \(path) has observed, so options of a new run can't be given with it; leave them out")
    }
    let training = try NetworkRun.open(path, allowNumericsChange: allowNumericsChange)
    let configuration = try training.configuration
    try study.check(training.specification, configuration)
    try SettingSweep.check(study.sweptSettings, of: RunSettings(configuration))
    return training
  }

  private func train(_ study: FrontierStudy) async throws -> NetworkRun {
    let given = try options.settings()
    let settings = try study.completed(given)
    try SettingSweep.check(study.sweptSettings, of: given)
    let configuration = try RunConfiguration(settings)
    let specification = try RunSpecification(
      configuration, initial: try await readInitialTensors(configuration.initial, isQuiet: json))
    try study.check(specification, configuration)
    let run = try NetworkRun.create(at: out ?? RunNames.new(), specification)
    _ = try await finish(run, isQuiet: json)
    return run
  }
}
