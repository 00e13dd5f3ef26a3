import Foundation
import TestSupport
import Testing

/// Runs every command with standard streams that are closed, full or left by their reader: lost results exit with
/// code 74, lost messages do not matter, and no stream harms a run.
@Suite(.serialized) struct StreamTests {
  private let folder: TemporaryFolder

  private static let small = "--model mlp:8 --steps 12 --evaluate every:3 --evaluation-examples 20 --checkpoint-every 5"
  private static let text = "--data text:corpus.txt --model gpt:layers=1,heads=1,width=8,context=8 --batch-size 2 --steps 3 --evaluate at:3"

  /// Commands that print results; `OUT` is a path that is new each time.
  private static let commands = [
    "train \(small) --out OUT", "train \(small) --out OUT --json", "frontier \(small) --order tail:2 --out OUT",
    "frontier --run run --json", "plan \(small) --instructions",
    "resume run", "resume run --json", "rewind run --order forward --from 9 --json",
    "rewind run --order backward --from 5 --sweep --slots 1 --tiers memory --slot-precision float32",
    "export run --order forward --iterate 6 --to OUT.safetensors",
    "average run", "average run --exact --iterate 7 --json", "text text --order forward --iterate 3 --prompt to --length 20",
    "batches run", "runs list .", "runs list . --json", "runs show run", "runs show run --json",
    "runs show run --order backward --iterate 7", "verify run", "verify run --json", "report run --to OUT.html", "data list",
    "data info digits --json", "--help", "train --help",
  ]

  /// Commands that measure before they print, for a second each.
  private static let slow = ["plan \(small)"]

  init() throws {
    folder = try TemporaryFolder()
    try String(repeating: "to be or not to be; ", count: 40).write(
      toFile: folder("corpus.txt"), atomically: false, encoding: .utf8)
    for command in ["train \(Self.small) --out run", "train \(Self.text) --out text"] {
      let made = try shell("$B \(command)")
      try #require(made.status == 0, "\(made.errors)")
    }
  }

  private func shell(_ script: String) throws -> Command { try Command.shell(script, in: folder.path) }

  /// Runs every command with each of the redirections in one shell.
  /// - Parameter stride: 1 for every command, 2 for every other.
  /// - Returns: A line for each command that ended with a code other than `code`.
  private func failures(of redirections: [String], code: Int, every stride: Int = 1) throws -> String {
    let commands = Self.commands.enumerated().filter { $0.offset % stride == 0 }.map(\.element)
    let pairs = commands.flatMap { command in redirections.map { (command, $0) } }
      + Self.slow.flatMap { command in redirections.prefix(runsAtLength ? .max : 1).map { (command, $0) } }
    let calls = pairs.enumerated().map { index, pair in
      let command = pair.0.replacing("OUT", with: "out-\(index)")
      return "$B \(command) >/dev/null 2>&1 \(pair.1); s=$?; [ $s = \(code) ] || echo \"$s: \(command) \(pair.1)\""
    }
    // Descriptor 3 is a pipe whose reader has gone.
    return try shell("mkfifo pipe; exec 4<>pipe; exec 3>pipe; exec 4<&-\n\(calls.joined(separator: "\n"))\nrm pipe").output
  }

  private func runsAreWhole() throws {
    let checked = try shell("for r in run text out-*/; do $B verify $r >/dev/null 2>said || { echo $r; cat said; }; done; true")
    #expect(checked.output == "")
  }

  @Test func lostResultsAreErrors() throws {
    let failures = try failures(of: [">/dev/full", ">&-"] + (runsAtLength ? [">&3"] : []), code: 74)
    #expect(failures == "", "\(failures)")
    try runsAreWhole()
  }

  @Test func lostWordsStopNothing() throws {
    let failures = try failures(of: ["2>/dev/full", "2>&-"] + (runsAtLength ? ["2>&3", "<&-", "<&- 2>&-"] : []), code: 0)
    #expect(failures == "", "\(failures)")
    try runsAreWhole()
  }

  @Test func nothingAtAllIsThere() throws {
    let failures = try failures(of: ["<&- >&- 2>&-"], code: 74, every: runsAtLength ? 1 : 4)
    #expect(failures == "", "\(failures)")
    try runsAreWhole()
    // The lines of a rewind are its results; its summary is not.
    let rewind = "$B rewind run --order forward --from 9"
    for (streams, code) in [(">/dev/full", 74), (">&-", 74), (">/dev/null 2>/dev/full", 0), (">/dev/null 2>&-", 0)] as [(String, Int32)] {
      #expect(try shell("\(rewind) \(streams)").status == code, "\(streams)")
    }
  }

  @Test func whatEndedACommandIsSaidOnce() throws {
    let full = try shell("$B train \(Self.small) --out new --json >/dev/full")
    #expect(full.status == 74 && full.errors.contains("No space left") && full.errors.split(separator: "\n").count == 1)
    #expect(try shell("$B runs show new --json").json["status"] as? String == "finished")
    // Whoever closes a pipe need not be told.
    let left = try shell("mkfifo gone; exec 4<>gone; exec 3>gone; exec 4<&-; $B batches run >&3")
    #expect(left.status == 74 && left.errors.isEmpty)
    let first = try shell("$B batches run --to 100000 | head -1; exit ${PIPESTATUS[0]}")
    #expect(first.status == 74 && first.errors.isEmpty && first.output.split(separator: "\n").count == 1)
    let progress = try shell("$B train \(Self.small) --out piped 2>&1 >/dev/null | head -1; exit ${PIPESTATUS[0]}")
    #expect(progress.status == 0, "\(progress.output)")
  }

  @Test(arguments: [
    ("train --foo 3", "--foo", "train"), ("runs show", "<run>", "runs show"), ("frontier --seed x", "--seed", "frontier"),
    ("batches run --from 0", "--from", "batches"), ("nothing", "nothing", "backtrail"),
  ])
  func argumentErrorsAreShort(arguments: String, word: String, command: String) throws {
    let refused = try shell("$B \(arguments)")
    #expect(refused.status == 64 && refused.output.isEmpty)
    #expect(refused.errors.contains(word) && refused.errors.contains("\(command) --help'"), "\(refused.errors)")
    #expect(refused.errors.split(separator: "\n").count == 2, "\(refused.errors)")
  }
}
