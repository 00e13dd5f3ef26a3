import ArgumentParser
import Backtrail
import Runs
import Replay

struct AverageCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "average",
    abstract: "Evaluate averages of forward's iterates of any kind and length, after the training.",
    discussion: """
      An average is made as the linear combination of the running averages and iterates that the run's checkpoints hold whose \
      weights are nearest to those asked for; how near is told. That costs no gradient evaluations. It gets nearer with \
      more running averages (train --average) and more checkpoints (train --checkpoint-every).
      """)

  @OptionGroup var stored: StoredRunOptions

  @Option(help: "n: the average is of forward's iterates 1 to n. (default: the last observed)")
  var iterate: Int?

  @Option(help: "An average; repeat for several: \(AverageProfile.forms). (default: those the run keeps)")
  var average: [String] = []

  @Option(help: "One of the run's seeds. (default: all, with the spread between them)")
  var seed: Int?

  @Flag(help: "Replay forward's path instead, once for all averages, with n gradient evaluations a seed.")
  var exact = false

  @OptionGroup var cost: CostOptions

  @Flag(help: "Print one JSON document.")
  var json = false

  func validate() throws {
    if let iterate, !(1...BatchRun.largestBatch).contains(iterate) {
      throw ValidationError("--iterate is \(iterate), but must be a whole number from 1 to \(BatchRun.largestBatch)")
    }
  }

  func run() async throws {
    let profiles = try average.map { try AverageProfile($0) }
    if let twice = profiles.indices.first(where: { profiles[..<$0].contains(profiles[$0]) }) {
      throw RunError.usage("--average \(profiles[twice]) is given twice; give it once")
    }
    let run = try stored.open()
    let asked = profiles.isEmpty ? run.workload.averages.map(AverageProfile.rule) : profiles
    guard !asked.isEmpty else {
      throw RunError.usage("\(stored.folder) keeps no running averages; name one with --average, such as --average uniform:200")
    }
    let n = iterate ?? run.lastAveragedIterate ?? run.workload.steps
    let seeds = seed.map { [$0] } ?? Array(run.workload.seeds)
    let progress = ReplayProgress()
    if exact {
      try cost.allow(n * seeds.count, for: n, of: .forward, in: run)
      if !json { printToStandardError("replaying forward's path: \(count(n * seeds.count, "gradient evaluation"))") }
    }
    let reporter = exact && !json ? ProgressReporter(progress) : nil
    defer { reporter?.stop() }
    let averages = try await run.averages(asked, n: n, seeds: seeds, isExact: exact, progress: progress)
    reporter?.stop()
    if json { try printJSON(averages) } else { try printResult(averagesTable(averages, seeds: seeds.count)) }
  }
}
