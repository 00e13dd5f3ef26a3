import ArgumentParser
import Backtrail

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

  func validate() throws {
    guard from >= 1 else { throw ValidationError("--from is \(from), but batches count from 1") }
    guard to ?? from >= from else { throw ValidationError("--to is before --from; give a later batch") }
  }

  func run() throws {
    let run = try TrainingRun.open(runFolder, allowNumericsChange: true)
    let seed = seedOption.seed(of: run)
    let last = to ?? run.experiment.configuration.steps
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
