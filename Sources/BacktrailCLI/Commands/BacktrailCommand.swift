import ArgumentParser
import Foundation
import Tensors

@main
struct BacktrailCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backtrail",
    abstract: "Trains models with their mini-batch updates composed in any order, backward above all.",
    discussion: """
      Results go to standard output, words and progress to standard error.
      Exit codes: 0 done, 1 predictions and measurements disagree ('theory'), 64 usage, 65 bad or damaged data, 66 input missing, 73 cannot create, 74 I/O error (results that \
      standard output does not take among them), 75 stopped by a signal (give the command again, or 'backtrail resume' where it \
      says so), 78 configuration impossible. Divergence is a result: a run in which something diverges ends with 0.
      """,
    subcommands: [
      TrainCommand.self, PlanCommand.self, FrontierCommand.self, ResumeCommand.self, RewindCommand.self, ReportCommand.self,
      ExportCommand.self, AverageCommand.self, TextCommand.self, BatchesCommand.self, RunsCommand.self, VerifyCommand.self,
      DataCommand.self, TheoryCommand.self, ContractionCommand.self, OptionsCommand.self,
    ])

  static func main() async {
    prepareStandardStreams()
    SystemMemory.mapLargeBlocks()
    // Exceeding a limit of file sizes is an error to report, so the signal must not end the process.
    signal(SIGXFSZ, SIG_IGN)
    do {
      try chooseSIMDLevel()
      try await stoppable {
        var command = try parseAsRoot()
        if var command = command as? any AsyncParsableCommand {
          try await command.run()
        } else {
          try command.run()
        }
      }
    } catch {
      Foundation.exit(report(error))
    }
  }

  /// Reports the error that ended the command.
  /// - Returns: The exit code.
  private static func report(_ error: any Error) -> Int32 {
    if case OutputError.readerGone = error { return ExitStatus.inputOutput.rawValue }
    if let failure = Failure(error) {
      printToStandardError("backtrail: \(failure.words)")
      return failure.status.rawValue
    }
    // The remaining errors are the parser's own: requested help, invalid arguments, and exit codes.
    let status = exitCode(for: error)
    let words = withFlags(message(for: error))
    guard status.isSuccess else {
      if !words.isEmpty {
        let command = commandPath(CommandLine.arguments.dropFirst())
        printToStandardError("backtrail: \(words)\nSee '\(command) --help' for its options.")
      }
      return status.rawValue
    }
    do {
      try printResult(fullMessage(for: error))
      return 0
    } catch {
      return report(error)
    }
  }

  /// The subcommand at the beginning of the arguments, in the form that a user types.
  private static func commandPath(_ arguments: some Collection<String>) -> String {
    var words = [configuration.commandName ?? "backtrail"]
    var subcommands = configuration.subcommands
    for argument in arguments {
      guard let next = subcommands.first(where: { $0._commandName == argument }) else { break }
      words.append(argument)
      subcommands = next.configuration.subcommands
    }
    return words.joined(separator: " ")
  }
}
