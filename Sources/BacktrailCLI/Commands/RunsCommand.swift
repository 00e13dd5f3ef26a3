import ArgumentParser
import Backtrail
import Foundation
import Replay
import Runs

struct RunsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "runs", abstract: "List runs, or show one.", subcommands: [List.self, Show.self])

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The runs in a folder.")

    @Argument(help: "The folder that holds the runs.")
    var folder = RunNames.folder

    @Flag(help: "Print one JSON document.")
    var json = false

    func run() throws {
      let runs = StoredRun.list(in: folder) { printToStandardError("backtrail: \($0)") }
      if json {
        try printJSON(runs)
      } else if runs.isEmpty {
        printToStandardError("no runs in \(folder); 'backtrail train' makes one")
      } else {
        try printResult(runsTable(runs))
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "A run's configuration and results, or one iterate of any order.",
      discussion: "An iterate is loaded or replayed from the nearest stored state on its path, and evaluated.")

    @OptionGroup var stored: StoredRunOptions

    @Option(help: "n, to show one iterate; needs --order.")
    var iterate: Int?

    @Option(help: "The iterate's composition order: \(CompositionOrder.forms).")
    var order: String?

    @OptionGroup var seedOption: SeedOption

    @OptionGroup var cost: CostOptions

    @Flag(help: "Print one JSON document.")
    var json = false

    func validate() throws {
      guard (iterate == nil) == (order == nil) else {
        throw ValidationError("--iterate and --order go together; give both or neither")
      }
      guard iterate ?? 0 >= 0 else { throw ValidationError("--iterate must be 0 or more") }
    }

    func run() async throws {
      if let iterate, let order {
        try await show(iterate, of: order)
      } else {
        let run = try StoredRun(stored.folder)
        if json { try printJSON(run) } else { try printResult(runDescription(run)) }
      }
    }

    private func show(_ n: Int, of specification: String) async throws {
      let run = try stored.open()
      let (order, seed) = (try run.order(specification), seedOption.seed(of: run))
      try cost.allowRecall(of: order, n: n, seed: seed, in: run, isQuiet: json)
      let progress = ReplayProgress()
      let reporter = json ? nil : ProgressReporter(progress)
      defer { reporter?.stop() }
      let iterate = try await run.iterate(order, n, seed: seed, progress: progress)
      reporter?.stop()
      if json {
        try printJSON(IterateDocument(iterate, order: order, n: n, seed: seed))
      } else {
        let values = zip(iterate.measurements.metrics, iterate.measurements.values).enumerated().map { place, value in
          "\(value.0.title) \(decimal(place == 0 ? "%.6f" : "%.4f", value.1))"
        }
        let training = iterate.trainingLoss.map { ["training loss of its last batch \(decimal("%.6f", $0))"] } ?? []
        try printResult("\(describe(iterate, order: order, n: n))\n\((values + training).joined(separator: ", "))")
      }
    }
  }
}

/// The JSON document of one iterate.
struct IterateDocument: Encodable {
  let iterate: ReplayedIterate
  let order: CompositionOrder
  let n: Int
  let seed: Int

  init(_ iterate: ReplayedIterate, order: CompositionOrder, n: Int, seed: Int) {
    self.iterate = iterate
    self.order = order
    self.n = n
    self.seed = seed
  }

  func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: DocumentKey.self)
    try document.encode(order.description, forKey: "order")
    try document.encode(n, forKey: "n")
    try document.encode(seed, forKey: "seed")
    try document.encode(iterate.digest, forKey: "digest")
    try document.encode(iterate.measurements, trainingLoss: iterate.trainingLoss)
    try document.encode(iterate.gradientEvaluations, forKey: "gradientEvaluations")
    // The checkpoint from which the iterate was replayed; absent for the initial state.
    try document.encodeIfPresent(iterate.checkpoint?.file, forKey: "checkpoint")
    try document.encode(iterate.wasObserved, forKey: "observed")
  }
}
