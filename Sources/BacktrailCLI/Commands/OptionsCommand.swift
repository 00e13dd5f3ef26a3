import ArgumentParser
import Backtrail
import Runs

/// Prints the documentation page of the options.
struct OptionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "options", abstract: "Print all settings of a run as Markdown.", shouldDisplay: false)

  func run() throws { try printResult(SettingsPage.markdown, terminator: "") }
}
