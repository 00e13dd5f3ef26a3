import ArgumentParser
import Backtrail
import Runs
import Replay

struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check every stored byte of a run, and replay random segments bit for bit.")

  @OptionGroup var stored: StoredRunOptions

  @Option(help: "How many segments between stored states are replayed.")
  var replays = 8

  @Flag(help: "Make anew what is damaged and can be recomputed.")
  var repair = false

  @Flag(help: "Print one JSON document.")
  var json = false

  func validate() throws {
    guard replays >= 0 else { throw ValidationError("--replays is \(replays), but must be 0 or more") }
  }

  func run() async throws {
    let progress = ReplayProgress()
    let reporter = json ? nil : ProgressReporter(progress)
    defer { reporter?.stop() }
    let report = try await verify(progress)
    reporter?.stop()
    for damage in report.damaged { printToStandardError("backtrail: \(withFlags(damage))") }
    if json {
      try printJSON(report)
    } else {
      let lines = report.repaired.map { "repaired \($0)" } + [
        """
        \(stored.folder): \(count(report.checkpoints, "checkpoint")) read, \(count(report.replays, "segment")) replayed with \
        \(count(report.gradientEvaluations, "gradient evaluation")), \(report.damaged.count) damaged, \
        \(report.repaired.count) repaired
        """
      ]
      try printResult(lines.joined(separator: "\n"))
    }
    if !report.isClean { throw ExitCode(ExitStatus.badData.rawValue) }
  }

  /// Verifies a run. If the command can't make its problem again, everything except replays is checked.
  private func verify(_ progress: ReplayProgress) async throws -> VerificationReport {
    let description = try? RunDescription(ofRun: stored.folder)
    if let description, try RunConfiguration(description, of: stored.folder) == nil {
      printToStandardError(
        """
        \(stored.folder) is a run of \(printable(description.problem.name)), whose code this command does not have: stored bytes are checked and \
        nothing is replayed; Run.verify in the program that made it replays too
        """)
      return try StoredRun.verify(stored.folder, repairs: repair)
    }
    return try await NetworkRun.verify(
      stored.folder, replays: replays, repairs: repair, allowNumericsChange: stored.allowNumericsChange, progress: progress)
  }
}
