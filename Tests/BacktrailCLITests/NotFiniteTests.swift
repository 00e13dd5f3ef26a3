import Foundation
import TestSupport
import Testing

/// The output of commands for numbers that are not finite, in a run that diverged.
@Suite struct NotFiniteTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    let train = "train --model mlp:8 --steps 30 --evaluate at:30 --order forward --average uniform --learning-rate 1e30 --checkpoint-every 10 --out run"
    let diverged = try backtrail(train)
    try #require(diverged.status == 0 && diverged.output.contains("at 30"), "\(diverged.errors)")
  }

  private func backtrail(_ line: String) throws -> Command {
    try Command(line.split(separator: " ").map(String.init), in: folder.path)
  }

  @Test(arguments: [
    ("runs show run --order forward --iterate 20 --json", "testLoss"),
    ("runs show run --order forward --iterate 25 --json", "testLoss"),
    ("export run --order forward --iterate 20 --to state.safetensors --json", "testLoss"),
    ("rewind run --order forward --from 9 --to 7 --json", "states[0].trainingLoss"),
  ])
  func documentsSayNullAndWhy(command: String, path: String) throws {
    let shown = try backtrail(command)
    #expect(shown.status == 0, "\(shown.errors)")
    #expect(shown.output.contains("\(path.split(separator: ".").last ?? "")\" : null"))
    let why = try #require(shown.json["notFinite"] as? [String: Any])
    #expect(why["why"] as? String != nil && (why["numbers"] as? [String])?.first == "\(path) is NaN")
  }

  @Test func textOfWhatIsNoNumberIsRefused() throws {
    try String(repeating: "to be or not to be; ", count: 40).write(
      toFile: folder("corpus.txt"), atomically: false, encoding: .utf8)
    let train = "train --data text:corpus.txt --model gpt:layers=1,heads=1,width=8,context=8 --batch-size 2 --steps 9 --evaluate at:9"
    #expect(try backtrail("\(train) --order forward --learning-rate 1e30 --checkpoint-every 3 --out text").status == 0)
    let drawn = try backtrail("text text --order forward --iterate 6 --prompt to")
    #expect(drawn.status == 78 && drawn.output.isEmpty && drawn.errors.contains("diverge"), "\(drawn.errors)")
  }

  @Test func numbersThatAreFiniteNeedNoReason() throws {
    let shown = try backtrail("runs show run --order forward --iterate 0 --json")
    #expect(shown.json["notFinite"] == nil && (shown.json["testLoss"] as? Double)?.isFinite == true)
  }

  @Test(arguments: [
    ("runs show run --order forward --iterate 20", 0, "NaN"), ("rewind run --order forward --from 9 --to 7", 0, "NaN"),
    ("export run --order forward --iterate 20 --to a.safetensors", 0, ""), ("average run --iterate 30", 78, "diverged at iterate 30"),
    ("average run --exact --iterate 20 --json", 78, "diverge"),
    ("rewind run --order forward --from 9 --sweep --json", 78, "diverge"), ("frontier --run run --json", 78, "backward"),
    ("verify run", 0, ""), ("resume run --json", 0, "diverged"), ("resume run", 0, "diverged"), ("runs show run", 0, "forward at 30"),
    ("runs list .", 0, "finished, diverged"), ("report run --to run.html", 0, ""),
  ])
  func tablesAndErrorsHaveWords(command: String, status: Int32, word: String) throws {
    let shown = try backtrail(command)
    #expect(shown.status == status, "\(shown.errors)")
    #expect(word.isEmpty || (shown.output + shown.errors).contains(word), "\(shown.output) \(shown.errors)")
    #expect(!shown.errors.contains("Error") && !shown.output.contains("nan"))
  }
}
