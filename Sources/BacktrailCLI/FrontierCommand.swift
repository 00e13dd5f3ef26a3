import ArgumentParser
import Backtrail
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
      Measure what a setting costs that changes no order and no schedule; repeat for several: KNOB=V1,V2,…, \
      KNOB with values that fit the run, or all: \
      \(Knob.names.joined(separator: ", ")).
      """,
    transform: { $0 == "all" ? Knob.all : [try Knob($0)] })
  var sweep: [[Knob]] = []

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
    let (training, frontier, baselines) = try await measure()
    let configuration = training.experiment.configuration
    try inTurn(
      { if json { try printJSON(frontier) } else { try printResult(frontierTable(frontier, showsAll: allPoints)) } },
      { if let csv { try writeFile(frontierCSV(frontier), to: csv) } },
      { try chart.write { frontierChart(frontier, of: configuration) } },
      {
        guard let curves, let result = try training.result() else { return }
        try writeFile(curveChart(try training.observed(result) + baselines.map(\.observed), of: configuration).svg(), to: curves)
      })
  }

  private func measure() async throws -> (TrainingRun, Frontier, [BaselineResult]) {
    let training = if let run { try open(run) } else { try await train() }
    stopWords = """
      interrupted; the run itself is finished, and 'backtrail frontier --run \(training.folder.path)' with the same --baseline and \
      --sweep goes on
      """
    var frontier = try await training.frontier(from: compareFrom, measuresDistance: distance)
    do {
      let (baselines, knobs) = try await untilStored { try await trainBeside(training) }
      frontier.comparison += baselines.map(\.summary)
      frontier.knobs = knobs
      return (training, frontier, baselines)
    } catch where Task.isCancelled {
      // Whatever a training beside the run says of itself.
      throw CancellationError()
    }
  }

  /// Baselines and settings, one after the other.
  private func trainBeside(_ training: TrainingRun) async throws -> ([BaselineResult], [KnobPoint]) {
    var baselines: [BaselineResult] = []
    let isBare = try baseline.isEmpty && run == nil && options.settings().orders == nil
    let usual: [Baseline] = isBare ? [.cosine, .largerBatch(size: 8, rate: 8)] : []
    // What nobody asked for is left out where the run has no such baseline.
    for baseline in baseline + usual.filter({ (try? $0.check(training.experiment)) != nil }) {
      note("baseline \(baseline)")
      do {
        baselines.append(try await training.train(baseline))
      } catch RunError.diverged(_, let seed, let n) {
        note("baseline \(baseline) is left out: its test loss is not finite at iterate \(n) (seed \(seed)); try a smaller factor")
      }
    }
    guard !sweep.isEmpty else { return (baselines, []) }
    note("sweep")
    let settings = try run == nil ? options.settings() : RunSettings(training.experiment.configuration)
    let knobs = KnobSweep(settings, beside: training, train: trainInAnotherProcess)
    return (baselines, try await knobs.measure(sweep.flatMap { $0 }, didRefuse: note))
  }

  private func open(_ path: String) throws -> TrainingRun {
    guard try options.settings() == RunSettings() else {
      throw RunError.usage("--run compares what \(path) has observed, so options of a new run can't be given with it; leave them out")
    }
    let training = try TrainingRun.open(path, allowNumericsChange: allowNumericsChange)
    try checkBaselines(training.experiment)
    try KnobSweep.check(sweep.flatMap { $0 }, of: RunSettings(training.experiment.configuration))
    return training
  }

  private func note(_ text: String) {
    if !json { printToStandardError("frontier: \(withFlags(text))") }
  }

  /// Refuses baselines before anything is trained for them to be compared with.
  private func checkBaselines(_ experiment: Experiment) throws {
    for baseline in baseline { try baseline.check(experiment) }
  }

  private func train() async throws -> TrainingRun {
    var settings = try options.settings()
    guard settings.costBudget == nil else {
      throw RunError.usage(
        """
        frontier compares with exact backward iterates, which a --cost-budget may have no room for; leave it out, and choose them \
        with --evaluate, such as every:10
        """)
    }
    try KnobSweep.check(sweep.flatMap { $0 }, of: settings)
    let steps = try RunConfiguration(settings).steps
    if let compareFrom, compareFrom > steps - 2 {
      throw RunError.usage("--compare-from is \(compareFrom), which leaves fewer than 3 n to compare up to --steps \(steps); give less")
    }
    guard steps > 2 else { throw RunError.usage("--steps is \(steps), but a frontier compares 3 n or more; give more") }
    let exact = settings.orders?.first { $0.hasPrefix("backward@") }.map { String($0.dropFirst("backward@".count)) } ?? settings.evaluate
    if exact?.hasPrefix("auto:") == true {
      throw RunError.usage(
        """
        frontier compares at the n where exact backward is observed, so these must be given: --evaluate every:K, say. What auto:ERROR \
        would have seen is among its points where every n is observed
        """)
    }
    var orders = settings.orders ?? Frontier.orders(steps: steps)
    for needed in ["forward", "backward"] where !orders.contains(where: { $0 == needed || $0.hasPrefix(needed + "@") }) {
      orders.insert(needed, at: 0)
    }
    settings.orders = orders
    settings.evaluate = settings.evaluate ?? Frontier.schedule(steps: steps)
    let configuration = try RunConfiguration(settings)
    let experiment = try Experiment(configuration, initial: try await readInitialTensors(configuration.initial, isQuiet: json))
    try checkBaselines(experiment)
    let run = try TrainingRun.create(experiment, at: out ?? RunNames.new())
    _ = try await follow(run, isQuiet: json)
    return run
  }
}
