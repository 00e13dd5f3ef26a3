import ArgumentParser
import Foundation

@main
struct BacktrailCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backtrail",
    abstract: "Trains models with their mini-batch updates composed in any order, backward above all.",
    discussion: """
      Results go to standard output, words and progress to standard error.
      Exit codes: 0 done, 64 usage, 65 bad or damaged data, 66 input missing, 73 cannot create, 74 I/O error, \
      75 interrupted and resumable, 78 configuration impossible.
      """,
    subcommands: [
      TrainCommand.self, PlanCommand.self, FrontierCommand.self, ResumeCommand.self, RewindCommand.self, ReportCommand.self,
      ExportCommand.self, AverageCommand.self, TextCommand.self, BatchesCommand.self, RunsCommand.self, VerifyCommand.self,
      DataCommand.self,
    ])

  static func main() async {
    // A file that may not grow any more is an error to report, not a reason to die.
    signal(SIGXFSZ, SIG_IGN)
    do {
      var command = try parseAsRoot()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch {
      guard let code = ExitStatus(of: error) else { exit(withError: error) }
      printToStandardError("backtrail: \(error)")
      Foundation.exit(code.rawValue)
    }
  }
}

func printToStandardError(_ text: String, terminator: String = "\n") {
  FileHandle.standardError.write(Data((text + terminator).utf8))
}
