import ArgumentParser
import Backtrail
import Datasets
import Foundation
import Replay

struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write an iterate of any order as safetensors, in PyTorch's names and layouts.",
    discussion: "The iterate need not have been observed: it is replayed from the initial state.")

  @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
  var runFolder: String

  @Option(help: "The composition order: \(CompositionOrder.forms).")
  var order: String

  @Option(help: "n; 0 is the initial state.")
  var iterate: Int

  @Option(help: "The seed, of a run with several. (default: the run's first)")
  var seed: Int?

  @Option(help: "The file to write; it must be new.")
  var to: String

  @Flag(help: "Replay with other numerics than the run's, and so to other bits.")
  var allowNumericsChange = false

  @Flag(help: "Print one JSON document about the iterate.")
  var json = false

  func validate() throws {
    guard iterate >= 0 else { throw ValidationError("--iterate is \(iterate), but must be 0 or more") }
  }

  func run() async throws {
    let run = try TrainingRun.open(runFolder, allowNumericsChange: allowNumericsChange)
    let order = try CompositionOrder(reading: order)
    let seed = seed ?? run.experiment.configuration.seed
    let progress = ReplayProgress()
    let reporter = json ? nil : ProgressReporter(progress, updates: order.sequence(iterate).count)
    defer { reporter?.stop() }
    let replayed = try await run.iterate(order: order, n: iterate, seed: seed, progress: progress)
    try Safetensors.write(
      replayed.tensors,
      metadata: [
        "backtrail.order": order.description, "backtrail.iterate": String(iterate), "backtrail.seed": String(seed),
        "backtrail.digest": replayed.digest.description,
      ], to: to)
    reporter?.stop()
    if json {
      try printJSON(
        Document(
          order: order.description, n: iterate, seed: seed, digest: replayed.digest.description,
          gradientEvaluations: replayed.gradientEvaluations, observed: replayed.wasObserved, to: to))
    } else {
      let source = iterate == 0 ? "the initial state" : "replayed with \(grouped(replayed.gradientEvaluations)) gradient evaluations"
      print("\(to): iterate \(iterate) of \(order), \(source), digest \(replayed.digest)\(replayed.wasObserved ? ", equal to the one observed" : "")")
    }
  }

  private struct Document: Encodable {
    let order: String
    let n: Int
    let seed: Int
    let digest: String
    let gradientEvaluations: Int
    let observed: Bool
    let to: String
  }
}
