import ArgumentParser
import Backtrail
import Runs
import Replay

struct TextCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "text",
    abstract: "Print text as an iterate of a run on text or tokens continues it.",
    discussion: IterateOptions.note)

  @OptionGroup var options: IterateOptions

  @Option(help: "What the text begins with; for a run on tokens, their numbers. (default: a line break, or the last token of the vocabulary)")
  var prompt = ""

  @Option(help: "Characters or tokens to draw.")
  var length = 500

  @Option(help: "Below 1 likely characters get likelier; 0 takes the likeliest.")
  var temperature = 0.8

  @Option(help: "Another number draws another text.")
  var textSeed: UInt64 = 0

  func validate() throws {
    guard (1...1_000_000).contains(length) else {
      throw ValidationError("--length is \(length), but must be a whole number from 1 to 1000000")
    }
    guard (0...100).contains(temperature) else {
      throw ValidationError("--temperature is \(temperature), but must be a number from 0 to 100")
    }
  }

  func run() async throws {
    let (run, order, seed) = try options.open(isQuiet: false)
    var sampling = TextSampling()
    sampling.prompt = prompt
    sampling.length = length
    sampling.temperature = temperature
    sampling.seed = textSeed
    let progress = ReplayProgress()
    let reporter = ProgressReporter(progress)
    defer { reporter.stop() }
    let text = try await run.text(
      order: order, n: options.iterate, seed: seed, sampling: sampling, progress: progress)
    reporter.stop()
    let separator = run.problem.dataset.vocabulary?.separator ?? ""
    try printResult(prompt.isEmpty ? text : prompt + separator + text)
  }
}
