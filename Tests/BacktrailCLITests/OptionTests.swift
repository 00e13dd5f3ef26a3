import Backtrail
import Foundation
import TestSupport
import Testing

/// Options and pages that are generated from the table of settings.
@Suite struct OptionTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
  }

  private func shell(_ script: String) throws -> Command { try Command.shell(script, in: folder.path) }

  /// The options of a command that take a value, according to its help.
  private func options(of command: String) throws -> [String] {
    let help = try shell("$B \(command) --help").output
    return help.split(separator: "\n").compactMap { $0.wholeMatch(of: /\ +--([a-z-]+) <.*/).map { String($0.1) } }
  }

  @Test(arguments: [
    ("train", ["config", "out", "chart"]), ("plan", ["config"]),
    ("frontier", ["config", "out", "run", "compare-from", "csv", "baseline", "sweep", "chart", "curves"]),
  ])
  func everySettingIsAFlag(command: String, others: [String]) throws {
    let settings = SettingsTable.descriptions.map(\.key)
    #expect(try options(of: command).filter { !others.contains($0) || settings.contains($0) } == settings)
    #expect(Set(settings).isDisjoint(with: others))
  }

  @Test func thePageOfOptionsIsUpToDate() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let page = try String(contentsOf: root.appendingPathComponent("Docs/Options.md"), encoding: .utf8)
    #expect(try shell("$B options").output == page, "'make options' writes it anew")
  }

  /// A setting in a message of the library becomes an option in a message of the command.
  @Test(arguments: [
    ("train --steps 0", "--steps is 0, but must be a whole number from 1 to"),
    ("plan --memory-budget 5", "--memory-budget is 1MiB"), ("train --average uniform --average none", "--average none can't be given"),
    ("frontier --sweep depth=3", "--sweep depth=3 is no setting"), ("train --sampler best --steps 5", "no sampler is called 'best'"),
    ("frontier --sweep lanes=x", "--sweep lanes=x: 'x' is not what --lanes takes"),
    ("train --steps 010", "The value '010' is invalid for '--steps <steps>'"),
  ])
  func messagesNameFlags(command: String, words: String) throws {
    let refused = try shell("$B \(command)")
    #expect(refused.status == 64 || refused.status == 78)
    #expect(refused.errors.contains(words) && !refused.errors.contains("`"), "\(refused.errors)")
  }

  /// A word in backquotes that is not an option is the user's own.
  @Test func otherWordsStayAsTheyAre() throws {
    #expect(try shell("$B train --sampler '`best`'").errors.contains("'`best`'"))
  }

  /// The last value of a setting that holds one value, and all values of one that holds several.
  @Test func repeatedFlags() throws {
    let run = "--model linear --evaluation-examples 20 --evaluate at:4 --steps 3 --steps 4"
    let shown = try shell("$B train \(run) --order forward --order tail:2 --out run >/dev/null && $B runs show run --json")
    let configuration = shown.json["configuration"] as? [String: Any]
    #expect(configuration?["steps"] as? Int == 4, "\(shown.errors)")
    #expect(configuration?["orders"] as? [String] == ["forward", "tail:2"])
    #expect(configuration?["loss"] == nil)
  }
}
