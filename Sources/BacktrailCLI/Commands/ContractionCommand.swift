import ArgumentParser
import Backtrail
import Foundation
import Replay
import Runs

struct ContractionCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "contraction",
    abstract: "Measure whether a run's updates bring states nearer to each other, and what that means for tail orders.",
    discussion: """
      Moves pairs of states that start close to each other by the run's batches, forward and backward, and measures how their \
      distance grows or shrinks (the largest Lyapunov exponent). Where it shrinks like exp(λn) with λ < 0, backward's iterates converge, \
      and tail:τ comes as near to them as exp(λτ); the distances of tails are measured beside it. Then it measures how far successive \
      iterates are from each other, in parameters and in what they predict. The run's folder is not changed.
      """)

  @OptionGroup var stored: StoredRunOptions

  @Option(help: "n of the iterates whose paths are followed. (default: the run's last)")
  var iterate: Int?

  @OptionGroup var seedOption: SeedOption

  @Option(
    help: """
      Where pairs differ at first: 'update', by one update, as successive iterates of backward do, or 'random', in any direction, \
      flat ones among them.
      """)
  var perturb = PerturbationKind.update

  @Option(help: "How many pairs there are, each in a direction of its own.")
  var directions = ContractionStudy().directions

  @Option(help: "The distance of a pair, as a part of the norm of the initial parameters. (default: that of one update)")
  var size: Double?

  @Option(help: "After how many updates a pair is set back to that distance.")
  var interval = ContractionStudy().interval

  @Option(help: "At how many n, evenly spaced in log n, successive iterates are compared; 0 for none.")
  var points = ContractionStudy().points

  @Option(help: "How many test examples predictions are compared on, rounded up to evaluation batches; at most those that the run evaluates.")
  var examples = 1000

  @Option(help: "With 2, forward's and backward's pairs are followed at the same time.")
  var lanes = ContractionStudy().lanes

  @OptionGroup var cost: CostOptions

  @OptionGroup var chart: ChartOption

  @Flag(help: "Print one JSON document.")
  var json = false

  func run() async throws {
    let run = try stored.open()
    try chart.check()
    var study = ContractionStudy()
    study.seed = seedOption.seed
    study.iterate = iterate
    study.kind = perturb
    study.directions = directions
    study.size = size
    study.interval = interval
    study.points = points
    study.examples = examples
    study.lanes = lanes
    let progress = ReplayProgress()
    let reporter = json ? nil : ProgressReporter(progress)
    defer { reporter?.stop() }
    let contraction = try await study.measure(run, progress: progress) { updates in
      try cost.allow(updates, for: iterate ?? run.workload.steps, of: .backward, in: run)
      if !json { printToStandardError("\(count(updates, "gradient evaluation")) ahead") }
    }
    reporter?.stop()
    try inTurn(
      { if json { try printJSON(contraction) } else { try printResult(contractionTables(contraction)) } },
      { try chart.write { contractionChart(contraction, of: run.description) } })
  }
}

extension PerturbationKind: ExpressibleByArgument {}
