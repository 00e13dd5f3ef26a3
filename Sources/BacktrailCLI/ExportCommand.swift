import ArgumentParser
import Backtrail
import Datasets
import Foundation
import Replay

struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write an iterate of any order as safetensors, in PyTorch's names and layouts.",
    discussion: "The iterate need not have been observed: it is replayed from the nearest stored state on its path.")

  @OptionGroup var stored: StoredRunOptions

  @Option(help: "The composition order: \(CompositionOrder.forms).")
  var order: String

  @Option(help: "n; 0 is the initial state.")
  var iterate: Int

  @OptionGroup var seedOption: SeedOption

  @Option(help: "The file to write; it must be new.")
  var to: String

  @Flag(help: "Print one JSON document about the iterate.")
  var json = false

  func validate() throws {
    guard iterate >= 0 else { throw ValidationError("--iterate is \(iterate), but must be 0 or more") }
  }

  func run() async throws {
    let run = try stored.open()
    let order = try CompositionOrder(reading: order)
    let seed = seedOption.seed(of: run)
    let progress = ReplayProgress()
    let reporter = json ? nil : ProgressReporter(progress)
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
      try printJSON(IterateDocument(replayed, order: order, n: iterate, seed: seed))
    } else {
      print("\(to): \(describe(replayed, order: order, n: iterate))")
    }
  }
}
