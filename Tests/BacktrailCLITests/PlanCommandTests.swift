import Foundation
import TestSupport
import Testing

/// `plan` says what it measures, and answers without measurements too.
@Suite(.serialized) struct PlanCommandTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let small = "plan --model mlp:32 --steps 40 --evaluate every:10 --evaluation-examples 20"

  private func plan(_ options: String) throws -> Command {
    try Command(options.split(separator: " ").map(String.init), in: folder.path)
  }

  @Test(arguments: [
    "--model mlp:64,64 --order forward --order backward --order tail:5", "--model mlp:30,20 --order window:4 --lanes 2",
    "--model mlp:16 --seeds 3 --order forward --order splice:5 --average none --checkpoint-every 0", "--model linear --order backward --lanes 1",
    "--model mlp:400,400 --optimizer adamw --order forward --order tail:3 --batch-size 8 --lanes 1",
  ])
  func countsAreTheSameWithoutMeasurements(options: String) throws {
    let options = "plan --steps 60 --evaluate every:10 --evaluation-examples 20 --json " + options
    let (measured, counted) = (try plan(options), try plan(options + " --unmeasured"))
    try #require(measured.status == 0 && counted.status == 0, "\(measured.errors)\(counted.errors)")
    for key in ["predictedGradientEvaluations", "stateBytes", "lanes", "slots", "diskSlots", "repeatedUpdates"] {
      #expect(measured.json[key] as? Int == counted.json[key] as? Int && measured.json[key] is Int, "\(key)")
    }
    #expect(measured.json["fingerprint"] as? String == counted.json["fingerprint"] as? String)
    let orders = try [measured, counted].map { try $0.text("orders") }
    #expect(orders[0] == orders[1])
    // A process is a MiB larger or smaller from one start to the next.
    let peaks = try [measured, counted].map { try #require($0.json["predictedPeakBytes"] as? Int) }
    #expect(abs(peaks[0] - peaks[1]) < 3 << 20, "\(peaks)")
    let disks = try [measured, counted].map { try #require($0.json["predictedDiskBytes"] as? Int) }
    // Where inputs are often zero, so are many numbers of Adam's slots, which take less room then.
    let tolerance = options.contains("adamw") ? 0.5 : 0.2
    #expect(abs(Double(disks[0]) / Double(disks[1]) - 1) < tolerance, "\(disks)")
    if options.contains("--checkpoint-every 0") { #expect(disks[0] == disks[1]) }
    let neighbours = try [measured, counted].map { plan in
      try #require(plan.json["neighbours"] as? [[String: Any]]).map { neighbour in
        "\(neighbour["change"] ?? "") \((neighbour["cost"] as? [String: Any])?["gradientEvaluations"] ?? "")"
      }
    }
    #expect(neighbours[0] == neighbours[1] && !neighbours[0].isEmpty)

    #expect(measured.json["isMeasured"] as? Bool == true && counted.json["isMeasured"] as? Bool == false)
    #expect(measured.json["predictedWallSeconds"] is Double && measured.json["calibration"] is [String: Any])
    #expect(counted.json["predictedWallSeconds"] == nil && counted.json["calibration"] == nil)
    // No time under any key, at any depth.
    #expect(measured.output.contains("econds\"") && !counted.output.contains("econds\""), "\(counted.output)")
    #expect(counted.json["predictedMultiplyAdds"] as? Double ?? 0 > 0)
    #expect(measured.json["predictedMultiplyAdds"] as? Double == counted.json["predictedMultiplyAdds"] as? Double)
  }

  @Test func measurementsAreTold() throws {
    let table = try plan(Self.small)
    #expect(table.status == 0)
    let lines = table.errors.split(separator: "\n")
    #expect(lines.count >= 3 && Set(lines).count == lines.count && lines.allSatisfy { $0.hasPrefix("measuring ") }, "\(table.errors)")
    #expect(lines.contains { $0.contains("stages") } && lines.contains { $0.contains("lane") } && lines.contains { $0.contains("checkpoint") })
    #expect(!table.output.contains("measuring") && table.output.contains("measured here"))
    let document = try plan(Self.small + " --json")
    #expect(document.errors.isEmpty && !document.json.isEmpty)
    let counted = try plan(Self.small + " --unmeasured")
    #expect(counted.status == 0 && counted.errors.isEmpty)
    #expect(counted.output.contains("not measured") && counted.output.contains("multiply-adds") && !counted.output.contains(" ms"))
  }

  @Test(.enabled(if: FaultLibrary.path != nil, "there is no C compiler to build the fault library with"))
  func countingWritesNoFile() throws {
    let temporary = URL(fileURLWithPath: NSTemporaryDirectory()).path
    func changes(_ options: String) throws -> Int {
      let arguments = (Self.small + options).split(separator: " ").map(String.init)
      let command = try FaultLibrary.run(Command.executable, arguments, in: folder.path, root: temporary, log: folder("log"))
      #expect(command.status == 0, "\(command.errors)")
      defer { try? FileManager.default.removeItem(atPath: folder("log")) }
      guard FileManager.default.fileExists(atPath: folder("log")) else { return 0 }
      return try FileLog(path: folder("log")).events.count { if case .print = $0 { false } else { true } }
    }
    #expect(try changes("") > 0)
    #expect(try changes(" --unmeasured") == 0)
    #expect(try changes(" --unmeasured --memory-budget 1GiB") == 0)
  }

  @Test func aBudgetIsFittedByGuesses() throws {
    let options = "plan --model mlp:600,600,600,600,600,600,600,600 --batch-size 1400 --steps 4 --evaluate at:4 --order forward --average none --evaluation-examples 8 --lanes 1"
    let free = try plan(options + " --unmeasured --json")
    let peak = try #require(free.json["predictedPeakBytes"] as? Int) >> 20
    let counted = try plan(options + " --unmeasured --memory-budget \(peak - 3)MiB")
    #expect(counted.status == 0 && counted.output.contains("chosen for the budget by guesses"), "\(counted.errors)")
    let document = try plan(options + " --unmeasured --json --memory-budget \(peak - 3)MiB")
    #expect(try #require(document.json["predictedPeakBytes"] as? Int) >> 20 < peak)
    let timed = try plan(Self.small.replacing("--evaluate every:10", with: "") + " --cost-budget 5s --evaluate auto:0.01 --unmeasured")
    #expect(timed.status == 64 && timed.errors.contains("--cost-budget"), "\(timed.errors)")
    #expect(try plan(Self.small.replacing("--evaluate every:10", with: "") + " --cost-budget 500 --evaluate auto:0.01 --unmeasured").status == 0)
  }

  /// A disk without room is named where the budget would do with states on it.
  @Test func aFullDiskIsTheReason() throws {
    let options = "plan --unmeasured --model mlp:900,900,900,900 --optimizer adamw --steps 2 --evaluate at:2 --batch-size 8 --evaluation-examples 8 --order forward --average none --checkpoint-every 0 --memory-budget "
    let least = try #require(try plan(options + "8MiB").leastBudget)
    #expect(try plan(options + "\(least)MiB").status == 0)
    // No file system of processes has room.
    func planOnFullDisk(_ budget: Int) throws -> Command { try Command.shell("TMPDIR=/proc $B \(options)\(budget)MiB", in: folder.path) }
    let refused = try planOnFullDisk(least)
    #expect(refused.status == 78, "\(refused.errors)")
    #expect(refused.errors.contains("/proc has 0MiB free") && refused.errors.contains("Make room there"), "\(refused.errors)")
    let inMemory = try #require(refused.errors.firstMatch(of: /or give ([0-9]+)MiB/).flatMap { Int($0.1) })
    #expect(inMemory > least)
    #expect(try planOnFullDisk(inMemory).status == 0)
    // Where not even states on disk would help, the disk is not the reason.
    let hopeless = try planOnFullDisk(8)
    #expect(hopeless.status == 78 && !hopeless.errors.contains("/proc"), "\(hopeless.errors)")
  }
}
