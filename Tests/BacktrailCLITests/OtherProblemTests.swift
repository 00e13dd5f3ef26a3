import Foundation
import Replay
import Runs
import TestSupport
import Testing

/// Folders of runs whose problem the command has no code for: what is stored is shown and checked, and what needs a replay
/// says so.
@Suite struct OtherProblemTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func backtrail(_ line: String) throws -> Command {
    try Command(line.split(separator: " ").map(String.init), in: folder.path)
  }

  private func makeRun() async throws {
    let run = try Run.create(
      at: folder("runs/drift"), Drift(), orders: [.forward, .backward, .tail(5)], steps: 40, observing: .every(4), seeds: 0..<2,
      averages: [.uniform], budgets: Budgets(lanes: 1, checkpoints: CheckpointPolicy(every: 10)))
    try await run.finish()
  }

  @Test func whatIsStoredIsShown() async throws {
    try await makeRun()
    let list = try backtrail("runs list")
    #expect(list.status == 0 && list.output.contains("Drift"), "\(list.errors)")
    let shown = try backtrail("runs show runs/drift")
    #expect(shown.status == 0 && shown.output.contains("offset, units; spread"), "\(shown.errors)")
    #expect(shown.output.contains("tail:5") && shown.output.contains("forward average uniform"))
    let document = try backtrail("runs show runs/drift --json").json
    #expect(document["problem"] as? String == "Drift")
    let observations = try #require(document["observations"] as? [[String: Any]])
    #expect(observations.count == 2 * 10 * 4 && observations.allSatisfy { $0["offset"] != nil && $0["spread"] != nil })
    let result = try #require(document["result"] as? [String: Any])
    #expect((result["summary"] as? [[String: Any]])?.allSatisfy { $0["offset"] != nil && $0["spreadSpread"] != nil } == true)
    let report = try backtrail("report runs/drift --to page.html")
    #expect(report.status == 0, "\(report.errors)")
    let page = String(decoding: try folder.read("page.html"), as: UTF8.self)
    #expect(page.contains("Offset by n") && page.contains("Spread by n") && page.contains("No command makes this run"))
    #expect(!page.contains("accuracy"))
  }

  @Test func storedBytesAreChecked() async throws {
    try await makeRun()
    let sound = try backtrail("verify runs/drift")
    #expect(sound.status == 0 && sound.errors.contains("whose code this command does not have"), "\(sound.errors)")
    let file = try #require(FileManager.default.contentsOfDirectory(atPath: folder("runs/drift/checkpoints")).sorted().first)
    try folder.write([1, 2, 3], to: "runs/drift/checkpoints/\(file)")
    let damaged = try backtrail("verify runs/drift")
    #expect(damaged.status == 65 && damaged.errors.contains(file))
  }

  @Test(arguments: [
    "resume runs/drift", "export runs/drift --order backward --iterate 3 --to x.safetensors", "average runs/drift",
    "rewind runs/drift --order backward --from 10", "batches runs/drift", "text runs/drift --order forward --iterate 4",
    "frontier --run runs/drift", "runs show runs/drift --order forward --iterate 4", "train --initial runs/drift:forward:4",
  ])
  func whatNeedsTheProblemSaysSo(command: String) async throws {
    try await makeRun()
    let refused = try backtrail(command)
    #expect(refused.status == 78, "\(refused.status) \(refused.errors)")
    #expect(refused.errors.contains("whose code this command does not have"), "\(refused.errors)")
    #expect(try StoredRun(folder("runs/drift")).status == "finished")
  }
}

/// Tables with a numeric target.
@Suite struct RegressionTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    var random = SplitMix(state: 3)
    let rows = (0..<200).map { _ in
      let (a, b) = (Double.random(in: -1...1, using: &random), Double.random(in: -1...1, using: &random))
      return "\(a),\(b),\(0.7 * a - 0.2 * b + 0.1)"
    }
    try folder.write((["a,b,price"] + rows).joined(separator: "\n") + "\n", to: "houses.csv")
    try folder.write((["a,b,price"] + rows + ["1,,2", "0,1,NA"]).joined(separator: "\n") + "\n", to: "gaps.csv")
  }

  private func backtrail(_ line: String) throws -> Command {
    try Command(line.split(separator: " ").map(String.init), in: folder.path)
  }

  @Test func theMetricsOfALossAreEverywhere() throws {
    let run = "train --data csv:houses.csv,target=price --model linear --learning-rate 0.1 --steps 100 --evaluate every:5"
    let trained = try backtrail(run + " --loss mse --out run --chart curves.svg")
    #expect(trained.status == 0, "\(trained.errors)")
    #expect(trained.output.contains("test mean absolute error") && !trained.output.contains("accuracy"))
    let chart = String(decoding: try folder.read("curves.svg"), as: UTF8.self)
    #expect(chart.contains("test loss"))
    let document = try backtrail("resume run --json").json
    let series = try #require((document["orders"] as? [[String: Any]])?.first)
    let last = try #require((series["iterates"] as? [[String: Any]])?.last)
    let loss = try #require(last["testLoss"] as? Double)
    // The target is linear in the features.
    #expect(loss < 0.01 && last["testMeanAbsoluteError"] is Double && last["testR2"] is Double && last["testAccuracy"] == nil)
    #expect(try backtrail("report run --to page.html").status == 0)
    #expect(String(decoding: try folder.read("page.html"), as: UTF8.self).contains("Test mean absolute error by n"))
    #expect(try backtrail("verify run --replays 4").status == 0)
    let frontier = try backtrail("frontier --run run --json")
    #expect(frontier.status == 0, "\(frontier.errors)")
    #expect((frontier.json["points"] as? [[String: Any]])?.first?["meanAbsoluteErrorError"] != nil)
  }

  @Test func missingValuesAreNamed() throws {
    let run = "train --loss mse --model linear --steps 10 --learning-rate 0.01 --data csv:gaps.csv,target=price"
    let refused = try backtrail(run)
    #expect(refused.status == 65 && refused.errors.contains("gaps.csv, line 202"), "\(refused.errors)")
    #expect(refused.errors.contains("missing=drop"))
    #expect(try backtrail(run + ",missing=drop").status == 0)
  }

  @Test(arguments: [
    ("--loss mse", 78), ("--loss mse --data digits", 78), ("--loss none", 64), ("--loss huber:-1", 64),
    ("--data csv:houses.csv,target=price", 65),
  ])
  func lossesAndTargetsThatDoNotGoTogether(options: String, status: Int32) throws {
    let refused = try backtrail("train --steps 4 \(options)")
    #expect(refused.status == status, "\(refused.status) \(refused.errors)")
  }
}
