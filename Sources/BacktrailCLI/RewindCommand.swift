import ArgumentParser
import Backtrail
import Foundation
import Replay

struct RewindCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rewind",
    abstract: "Visit the states on an iterate's path in reverse, from its last update back to its start.",
    discussion: """
      Prints for each state its n, the batch that was applied to it, that batch's training loss before, and the distance \
      to the iterate. States that don't fit the slots are computed again, the least number of times possible.
      """)

  @OptionGroup var stored: StoredRunOptions

  @Option(help: "The iterate's composition order: \(CompositionOrder.forms).")
  var order: String

  @Option(help: "n of the iterate the walk begins at.")
  var from: Int

  @Option(help: "The last state visited, in updates from the start.")
  var to = 0

  @Option(help: "States held in memory besides the start.")
  var slots = 16

  @Option(help: "States held on disk; used where an update takes longer than writing and reading a state.")
  var diskSlots = 0

  @OptionGroup var seedOption: SeedOption

  @Flag(help: "Print one JSON document.")
  var json = false

  func validate() throws {
    guard from >= 1 else { throw ValidationError("--from is \(from), but must be 1 or more") }
    guard to >= 0 else { throw ValidationError("--to is \(to), but must be 0 or more") }
    guard slots >= 0, diskSlots >= 0 else { throw ValidationError("--slots and --disk-slots must be 0 or more") }
  }

  func run() throws {
    let run = try stored.open()
    let json = json
    var isFirst = true
    let result = try run.rewind(
      order: try CompositionOrder(reading: order), n: from, to: to,
      seed: seedOption.seed(of: run), slots: slots, diskSlots: diskSlots
    ) { state in
      if !json {
        if isFirst { print("n\tbatch\ttraining loss\tdistance\tdigest") }
        isFirst = false
        print(
          "\(state.n)\t\(state.batch)\t\(String(format: "%.6f\t%.6g", state.trainingLoss, state.distance))\t\(state.digest)")
      }
      return json
    }
    if json {
      try printJSON(result)
    } else {
      printToStandardError(
        """
        \(grouped(result.updates)) updates for \(grouped(result.from - result.to)) states with \(result.slots) slots in \
        memory and \(result.diskSlots) on disk, \(duration(result.seconds))
        """)
    }
  }
}
