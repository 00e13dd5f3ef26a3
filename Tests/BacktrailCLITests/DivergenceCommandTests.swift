import Foundation
import TestSupport
import Testing

/// Runs of which some series diverge and others do not: every command goes on, and says so.
@Suite struct DivergenceCommandTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func backtrail(_ line: String, stop: Command.Stop? = nil) throws -> Command {
    try Command(line.split(separator: " ").map(String.init), in: folder.path, stop: stop)
  }

  private let settings = """
    --model mlp:16 --steps 200 --evaluate every:10 --order backward --order tail:20 --average uniform --seeds 3 --learning-rate 3 \
    --divergence-limit 3
    """

  private func series(_ document: [String: Any], _ name: String, seed: Int) throws -> [String: Any] {
    let all = try #require(document["orders"] as? [[String: Any]])
    return try #require(all.first { $0["order"] as? String == name && $0["seed"] as? Int == seed })
  }

  @Test func theOthersGoOn() throws {
    let both = try backtrail("train \(settings) --order forward --out both --json --chart both.svg")
    try #require(both.status == 0, "\(both.errors)")
    let alone = try backtrail("train \(settings) --out alone --json")
    // What has not diverged has the bits of a run without what has.
    for (name, seed) in [("backward", 0), ("backward", 2), ("tail:20", 1)] {
      let (here, there) = (try series(both.json, name, seed: seed), try series(alone.json, name, seed: seed))
      #expect((here["iterates"] as? NSArray) == (there["iterates"] as? NSArray))
    }
    let iterates = try #require(try series(both.json, "forward", seed: 0)["iterates"] as? [[String: Any]])
    #expect(iterates.map { $0["n"] as? Int } == stride(from: 10, through: 200, by: 10).map { $0 })
    let first = try #require(iterates.firstIndex { $0["diverged"] as? Bool == true })
    for iterate in iterates[first...] {
      #expect(iterate["testLoss"] is NSNull && iterate["testAccuracy"] is NSNull && iterate["digest"] is NSNull && iterate["diverged"] as? Bool == true)
    }
    #expect(iterates[..<first].allSatisfy { $0["digest"] is String && $0["diverged"] == nil })
    let executed = try #require(both.json["gradientEvaluations"] as? Int)
    let skipped = try #require(both.json["skippedGradientEvaluations"] as? Int)
    #expect(executed + skipped == both.json["predictedGradientEvaluations"] as? Int && skipped > 0)
    let summary = try #require(both.json["summary"] as? [[String: Any]])
    let forward = try #require(summary.first { $0["series"] as? String == "forward" }?["diverged"] as? [[String: Any]])
    #expect(forward.contains { $0["seed"] as? Int == 0 && $0["n"] as? Int == 10 * (first + 1) })

    let resumed = try backtrail("resume both --json")
    #expect(try resumed.status == 0 && resumed.text("orders") == both.text("orders"))
    for (command, words) in [
      ("resume both", ["of 3, at", "which are selected"]), ("runs list .", ["finished, diverged"]),
      ("runs show both", ["diverged", "forward at", "above 3"]), ("runs show both --json", ["\"diverged\""]), ("verify both --replays 40", ["0 damaged"]),
      ("frontier --run both", ["Diverged", "backward"]), ("frontier --run both --json --no-distance", ["\"diverged\""]),
      ("report both --to both.html", []), ("plan \(settings) --order forward", ["forward"]), ("export both --order backward --iterate 200 --to a.safetensors", []),
    ] {
      let shown = try backtrail(command)
      #expect(shown.status == 0, "\(command): \(shown.errors)")
      for word in words { #expect(shown.output.contains(word), "\(command) \(word): \(shown.output)") }
    }
    #expect(try String(contentsOfFile: folder("both.svg"), encoding: .utf8).contains("Diverged: forward"))
    #expect(try String(contentsOfFile: folder("both.html"), encoding: .utf8).contains("which are selected"))
  }

  @Test func everythingMayDiverge() throws {
    let train = "train --model mlp:8 --steps 30 --evaluate every:5 --order forward --order backward --learning-rate 1e30 --out all"
    #expect(try backtrail(train).status == 0)
    for command in ["resume all --json", "runs show all", "runs show all --json", "verify all", "report all --to all.html", "frontier --run all", "frontier --run all --json"] {
      let shown = try backtrail(command)
      #expect(shown.status == 0, "\(command): \(shown.errors)")
      #expect(!shown.output.contains("nan"), "\(command): \(shown.output)")
    }
    #expect(try backtrail("frontier --run all").output.contains("nothing to compare with"))
    // A larger batch diverges too; that does not end the comparison.
    let beside = try backtrail("frontier --model mlp:8 --steps 40 --evaluate every:4 --order backward --learning-rate 0.1 --baseline batch:8:1e30 --no-distance --out beside")
    #expect(beside.status == 0 && beside.output.contains("forward, batch × 8"), "\(beside.errors)")
  }

  /// Promise "nothing finished is lost".
  @Test func killedAtRandomInstants() throws {
    let long = settings.replacing("--steps 200", with: "--steps 400") + " --order forward --checkpoint-every 50 --json"
    let whole = try backtrail("train \(long) --out whole")
    try #require(whole.status == 0 && whole.output.contains("\"diverged\" : true"), "\(whole.errors)")
    let seconds = try #require(whole.json["wallSeconds"] as? Double)
    for round in 0..<cases(2, long: 40) {
      var command = try backtrail("train \(long) --out killed\(round)", stop: .after(seconds: .random(in: 0...seconds), signal: SIGKILL))
      while command.status == SIGKILL, FileManager.default.fileExists(atPath: folder("killed\(round)/run.sqlite")) {
        command = try backtrail("resume killed\(round) --json", stop: .after(seconds: .random(in: 0...2 * seconds), signal: SIGKILL))
      }
      // Before the run is on disk there is nothing to resume.
      if command.status == SIGKILL { continue }
      #expect(command.status == 0, "\(command.errors)")
      #expect(try command.text("orders") == whole.text("orders") && command.text("averages") == whole.text("averages"))
    }
  }
}
