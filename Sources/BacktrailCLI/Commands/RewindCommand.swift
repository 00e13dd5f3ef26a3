import ArgumentParser
import Backtrail
import Runs
import Foundation
import Replay

struct RewindCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rewind",
    abstract: "Visit the states on an iterate's path in reverse, from its last update back to its start.",
    discussion: """
      Prints for each state its n, the batch that was applied to it, that batch's training loss before, and the distance \
      to the iterate. States that don't fit the slots are computed again, the least number of times possible.

      With --sweep it prints what storing more or fewer states costs instead: a row for each number of slots, in memory and on \
      disk, with all bits and rounded.
      """)

  @OptionGroup var stored: StoredRunOptions

  @Option(help: "The iterate's composition order: \(CompositionOrder.forms).")
  var order: String

  @Option(help: "n of the iterate the walk begins at.")
  var from: Int

  @Option(help: "The last state visited, in updates from the start.")
  var to = 0

  @OptionGroup var slotOptions: RewindSlotOptions

  @OptionGroup var seedOption: SeedOption

  @OptionGroup var cost: CostOptions

  @Flag(help: "Print one JSON document.")
  var json = false

  @Option(help: "Write the points of --sweep as comma-separated values.", transform: { try outputPath($0, ending: ".csv") })
  var csv: String?

  @OptionGroup var chart: ChartOption

  @Option(
    help: """
      What the chart shows upwards: by n, 'loss' or 'distance' of the states visited; with --sweep, by the bytes stored, \
      'seconds' or 'updates'. (default: loss; with --sweep seconds)
      """)
  var chartY: RewindChartQuantity?

  func validate() throws {
    guard from >= 1 else { throw ValidationError("--from is \(from), but must be 1 or more") }
    guard to >= 0 else { throw ValidationError("--to is \(to), but must be 0 or more") }
    guard csv == nil || slotOptions.sweep else {
      throw ValidationError("--csv writes the points of --sweep; one rewind prints its states with tabs between")
    }
    guard let chartY else { return }
    guard chart.chart != nil else { throw ValidationError("--chart-y is for --chart FILE.svg; give both, or none") }
    let choices = slotOptions.sweep ? RewindChartQuantity.ofSweeps : RewindChartQuantity.ofStates
    guard choices.contains(chartY) else {
      let names = choices.map(\.rawValue).joined(separator: " or ")
      throw ValidationError(
        "--chart-y is \(chartY.rawValue), but \(slotOptions.sweep ? "with" : "without") --sweep it must be \(names)")
    }
  }

  func run() async throws {
    let run = try stored.open()
    let order = try run.order(order)
    for path in [csv, chart.chart].compactMap({ $0 }) { try checkFolder(of: path) }
    if slotOptions.sweep { try await sweep(run, order) } else { try await rewind(run, order) }
  }

  private func rewind(_ run: NetworkRun, _ order: CompositionOrder) async throws {
    let (isDrawn, seed, slots, progress) = (chart.chart != nil, seedOption.seed(of: run), slotOptions.ofOneRewind, ReplayProgress())
    let reporter = json ? nil : ProgressReporter(progress)
    defer { reporter?.stop() }
    let (result, drawn) = try await untilStored {
      var isFirst = true
      var drawn: [RewoundState] = []
      let result = try run.rewind(order: order, n: from, to: to, seed: seed, slots: slots, progress: progress) { updates in
        try cost.allow(updates, for: from, of: order, in: run)
        if !json { printToStandardError("\(count(updates, "update")) ahead") }
      } visit: { state in
        if !json {
          // On a terminal, one line per state shows enough progress.
          if isFirst, isatty(STDOUT_FILENO) == 1 { reporter?.stop() }
          if isFirst { try printResult("n\tbatch\ttraining loss\tdistance\tdigest") }
          isFirst = false
          try printResult(
            "\(state.n)\t\(state.batch)\t\(state.trainingLoss.map { decimal("%.6f", $0) } ?? "-")\t\(decimal("%.6g", state.distance))\t\(state.digest)")
        }
        if isDrawn { drawn.append(state) }
        return json
      }
      return (result, drawn)
    }
    reporter?.stop()
    try inTurn(
      { if json { try printJSON(result) } else { printToStandardError(rewindSummary(result)) } },
      { try chart.write { stateChart(drawn, of: result, chartY ?? .loss, run.description) } })
  }

  private func sweep(_ run: NetworkRun, _ order: CompositionOrder) async throws {
    let (seed, request) = (seedOption.seed(of: run), slotOptions.ofSweep)
    let sweep = try await untilStored {
      var ahead = 0
      var done = 0
      return try run.sweepRewinds(
        order: order, n: from, to: to, seed: seed, request: request,
        willMeasure: { rewinds, updates in
          ahead = rewinds
          try cost.allow(updates, for: from, of: order, in: run)
          if !json { printToStandardError("\(count(rewinds, "rewind")) with \(count(updates, "update")) ahead") }
        },
        didMeasure: { point in
          done += 1
          if !json { printToStandardError("\(done) of \(ahead): \(describe(point))") }
        })
    }
    try inTurn(
      { if json { try printJSON(sweep) } else { try printResult(sweepTable(sweep, of: run.description)) } },
      { if let csv { try writeFile(sweepCSV(sweep), to: csv) } },
      { try chart.write { sweepChart(sweep, chartY ?? .seconds, run.description) } })
  }
}
