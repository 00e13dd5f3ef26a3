import ArgumentParser
import Backtrail
import Runs
import Foundation

struct ReportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write a page about a run: its settings, comparison, charts and costs, and how to make it again.",
    discussion: """
      One HTML file that needs no other and loads nothing. A file that is there is replaced. Of a run that is not finished it \
      shows what was observed so far.
      """)

  @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
  var runFolder: String

  @Option(
    help: ArgumentHelp("The file to write. (default: the run's name with .html, in this folder)", valueName: "file.html"),
    transform: { try outputPath($0, ending: ".html") })
  var to: String?

  func run() async throws {
    let stored = try StoredRun(runFolder)
    let path = to ?? URL(fileURLWithPath: runFolder).standardizedFileURL.lastPathComponent + ".html"
    try checkFolder(of: path)
    try writeFile(try await ReportContents(stored).page().html(), to: path)
    try printResult("\(path): report of \(stored.run)")
  }
}
