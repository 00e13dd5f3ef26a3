import ArgumentParser
import Backtrail
import Foundation
import Storage

struct RunsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "runs", abstract: "List runs, or show one.", subcommands: [List.self, Show.self])

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The runs in a folder.")

    @Argument(help: "The folder that holds the runs.")
    var folder = RunNames.folder

    @Flag(help: "Print one JSON document.")
    var json = false

    func run() throws {
      let runs = try StoredRun.list(in: folder)
      if json {
        try printJSON(runs)
      } else if runs.isEmpty {
        printToStandardError("no runs in \(folder); 'backtrail train' makes one")
      } else {
        print(runsTable(runs))
      }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "A run's configuration and results.")

    @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
    var runFolder: String

    @Flag(help: "Print one JSON document.")
    var json = false

    func run() throws {
      let run = try StoredRun(runFolder)
      if json { try printJSON(run) } else { print(runDescription(run)) }
    }
  }
}
