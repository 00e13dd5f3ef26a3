import ArgumentParser
import Backtrail
import Runs
import Datasets
import Formats
import Foundation
import Replay

struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write an iterate of any order as safetensors, in PyTorch's names and layouts.",
    discussion: IterateOptions.note)

  @OptionGroup var options: IterateOptions

  @Option(help: "The file to write; it must be new.")
  var to: String

  @Flag(help: "Print one JSON document about the iterate.")
  var json = false

  func run() async throws {
    let (run, order, seed) = try options.open(isQuiet: json)
    let iterate = options.iterate
    let progress = ReplayProgress()
    let reporter = json ? nil : ProgressReporter(progress)
    defer { reporter?.stop() }
    let replayed = try await run.iterate(order, iterate, seed: seed, progress: progress)
    try replayed.write(
      metadata: [
        "backtrail.order": order.description, "backtrail.iterate": String(iterate), "backtrail.seed": String(seed),
        "backtrail.digest": replayed.digest.description,
      ], to: to)
    reporter?.stop()
    if !replayed.measurements.loss.isFinite {
      printToStandardError("backtrail: the \(run.problem.metrics[0].title) of this iterate is not finite: the updates diverge")
    }
    if json {
      try printJSON(IterateDocument(replayed, order: order, n: iterate, seed: seed))
    } else {
      try printResult("\(to): \(describe(replayed, order: order, n: iterate))")
    }
  }
}
