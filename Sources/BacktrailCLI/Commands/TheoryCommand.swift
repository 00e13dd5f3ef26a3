import ArgumentParser
import Foundation
import Replay
import Reports
import Theory

struct TheoryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "theory",
    abstract: "Replay a small example for many seeds, and compare what it does with what theory predicts.",
    discussion: """
      ar1            the mean of normal numbers by SGD: forward is an autoregression
      bernoulli      the same of ±1: the stationary law is a Bernoulli convolution
      least-squares  linear regression by mini-batches: the covariance solves a Lyapunov equation
      logistic       strongly convex: every update contracts by a known factor
      non-convex     two wells: between them contraction fails
      orders         two orders of the same batches: by which power of η their ends differ, and the Lie bracket of two updates

      Prints predicted against measured, and exits with code 1 where they disagree beyond the confidence. All tests of an example \
      share it: each may reject a true prediction with probability (1 - confidence) / tests.
      """)

  @Argument(help: "\(TheoryExample.allCases.map(\.rawValue).joined(separator: ", ")).")
  var example: TheoryExample

  @Option(help: "η. (default: the example's; orders takes none, since it goes through a decade of them)")
  var learningRate: Double?

  @Option(
    help: """
      N, the last n; of orders, the batches of a pass. (default: as many as bring backward's iterates within 10⁻⁷ of their limit; of \
      orders, 4)
      """)
  var steps: Int?

  @Option(help: "How many seeds are replayed. (default: 10,000 for ar1 and bernoulli, 2,000 for orders, 4,000 for the others)")
  var seeds: Int?

  @Option(help: "The first seed.")
  var seed = 0

  @Option(help: "The probability that no true prediction is rejected, between 0 and 1.")
  var confidence = 0.999

  @Option(
    help: """
      A prediction of your own in place of Backtrail's; repeat for several: \(OwnPrediction.forms), such as variance=0.05, or \
      backward-rate=101% for 1.01 times Backtrail's.
      """,
    transform: { try OwnPrediction($0) })
  var predict: [OwnPrediction] = []

  @Option(help: "How many replays go on at the same time.")
  var lanes = 2

  @Flag(help: "Print one JSON document.")
  var json = false

  func run() async throws {
    var study = TheoryStudy(example)
    study.learningRate = learningRate
    study.steps = steps
    study.seedCount = seeds
    study.firstSeed = seed
    study.confidence = confidence
    study.predictions = predict
    study.lanes = lanes
    let progress = ReplayProgress()
    let reporter = json ? nil : ProgressReporter(progress)
    defer { reporter?.stop() }
    let result = try await study.result(progress: progress)
    reporter?.stop()
    if json { try printJSON(result) } else { try printResult(theoryTable(result)) }
    guard !result.agrees else { return }
    let names = result.disagreements.map { "\($0.series)-\($0.quantity)" }.joined(separator: ", ")
    printToStandardError("backtrail: what is predicted of \(names) and what was measured disagree")
    throw ExitCode(ExitStatus.disagreement.rawValue)
  }
}

extension TheoryExample: ExpressibleByArgument {}
