import ArgumentParser
import Backtrail
import Runs
import Replay

struct BatchesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "batches",
    abstract: "Print the example indices of a run's batches, a batch a line.",
    discussion: "Indices count from 0 in the data set's order. The output is what '--sampler file:PATH' reads.")

  @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
  var runFolder: String

  @Option(help: "The first batch.")
  var from = 1

  @Option(help: "The last batch. (default: the run's steps)")
  var to: Int?

  @OptionGroup var seedOption: SeedOption

  /// The largest number of batches beyond the run's that are printed at once.
  private static let limit = 1_000_000

  func validate() throws {
    // This is as far as a run can go; far beyond it, batch numbers would overflow.
    let batches = 1...BatchRun.largestBatch
    guard batches.contains(from), batches.contains(to ?? from) else {
      throw ValidationError("--from is \(from)\(to.map { " and --to \($0)" } ?? ""), but batches count from 1 to \(batches.upperBound)")
    }
    guard to ?? from >= from else { throw ValidationError("--to is before --from; give a later batch") }
  }

  func run() throws {
    let run = try NetworkRun.open(runFolder, allowNumericsChange: true)
    let seed = seedOption.seed(of: run)
    let steps = run.workload.steps
    let last = to ?? steps
    guard last >= from else {
      throw RunError.usage("--from is \(from), but the run's \(count(steps, "step")) end before; give --to for batches beyond them")
    }
    guard last - max(from - 1, steps) <= Self.limit else {
      throw RunError.usage(
        """
        --to is \(last), \(count(last - max(from - 1, steps), "batch", "batches")) beyond the run's \(count(steps, "step")); print at most \
        \(grouped(Self.limit)) of those at once
        """)
    }
    var lines = ""
    for batch in from...last {
      lines += try run.batch(batch, seed: seed).map(String.init).joined(separator: " ") + "\n"
      guard lines.utf8.count > 1 << 16 else { continue }
      try Task.checkCancellation()
      try StandardOutput.write(lines)
      lines = ""
    }
    try StandardOutput.write(lines)
  }
}
