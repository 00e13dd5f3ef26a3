import ArgumentParser
import Backtrail
import Runs
import Foundation
import Replay

struct PlanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "What a run will cost, before any of it is spent.",
    discussion: """
      Takes the options of 'train'. Times are predicted from a few seconds of trial updates; of a large model, from one pass of \
      each kind of stage. --unmeasured answers at once, without times.
      """)

  @OptionGroup var options: RunOptions

  @Flag(help: "Print the plan's instructions, a line each, segments parted by empty lines.")
  var instructions = false

  @Flag(help: "Measure nothing and write no file: work is told in multiply-adds instead of seconds.")
  var unmeasured = false

  @Flag(help: "Print one JSON document instead of the table.")
  var json = false

  func validate() throws {
    if instructions && json { throw ValidationError("--instructions and --json exclude each other; give one") }
  }

  func run() async throws {
    let configuration = try options.configuration()
    let specification = try RunSpecification(configuration, initial: try await readInitialTensors(configuration.initial, isQuiet: json))
    if instructions {
      try printInstructions(specification.plan())
    } else {
      let reporter = json || unmeasured ? nil : MeasurementReporter()
      defer { reporter?.stop() }
      var prediction = try CostPrediction(
        specification, in: try measuredFolder(),
        measuring: unmeasured ? nil : TimeMeasurement { reporter?.report($0) })
      reporter?.stop()
      for place in prediction.neighbours.indices { prediction.neighbours[place].change = withFlags(prediction.neighbours[place].change) }
      if json { try printJSON(prediction) } else { try printResult(planTable(prediction, of: specification.workload)) }
    }
  }

  /// The folder where the speed of the disk is measured by writing and reading a temporary file, and whose free space counts.
  private func measuredFolder() throws -> String {
    let folders = [FileManager.default.temporaryDirectory.path, FileManager.default.currentDirectoryPath]
    guard let folder = folders.first(where: { unmeasured || access($0, W_OK) == 0 }) else {
      throw OutputError.cannotWrite(folders[0], reason: "plan measures the disk there; set TMPDIR to another folder")
    }
    return folder
  }

  private func printInstructions(_ plan: ReplayPlan) throws {
    for segment in 0..<plan.segmentCount {
      let earlier = plan.prerequisites(ofSegment: segment).map(String.init).joined(separator: " ")
      var lines = ["segment \(segment)" + (earlier.isEmpty ? "" : " after \(earlier)")]
      plan.forEachInstruction(ofSegment: segment) { lines.append("  \($0)") }
      try printResult(lines.joined(separator: "\n"))
    }
  }
}
