import Foundation
import TestSupport
import Testing

/// Every option of every command with extreme numbers leads to a result or a refusal within seconds.
@Suite struct NumericOptionTests {
  private let folder: TemporaryFolder

  private static let run = "--model mlp:8 --steps 60 --evaluate every:20 --evaluation-examples 20 --checkpoint-every 25"

  /// The arguments before the option; `OUT` is a path that is new each time.
  private static let bases = [
    "train": "\(run) --out OUT", "plan": run, "frontier": "\(run) --order tail:3 --out OUT", "resume": "copy --json",
    "rewind": "run --order forward --from 20", "report": "run", "export": "run --order forward --iterate 20 --to OUT.safetensors",
    "average": "run", "text": "text --order forward --iterate 3", "batches": "run", "runs list": ".",
    "runs show": "run --order forward --iterate 20", "verify": "run", "data list": "", "data info": "digits", "theory": "bernoulli --seeds 200",
    "contraction": "run --points 2",
  ]

  private static let numbers = [
    "9223372036854775807", "-1", "0", "2147483648", "-9223372036854775808", "4294967296", "1000000000", "1e400", "nan",
  ]

  /// Numbers inside specifications, for each option.
  private static let forms = [
    "order": ["tail:N", "splice:N", "window:N", "sliding:N", "sliding-forward:N", "flipflop:N", "blocks:N", "reshuffled:N", "paired:N", "random-order:N", "random-orders:N", "forward@at:N"],
    "evaluate": ["every:N", "log:N", "at:N", "auto:N"], "optimizer": ["momentum:N", "nesterov:N", "adam:N", "rmsprop:N"],
    "model": [
      "mlp:N", "resnet18:N", "resnet50:N", "gpt:layers=N,heads=1,width=8,context=8", "gpt:layers=1,heads=N,width=8,context=8",
      "gpt:layers=1,heads=1,width=N,context=8", "gpt:layers=1,heads=1,width=8,context=N",
    ],
    "average": ["exponential:N", "polynomial:N", "uniform:N"], "weight-decay": ["decoupled:N"],
    "data": ["synthetic:examples=N", "synthetic:features=N", "synthetic:classes=N"], "augment": ["crop:N"],
    "memory-budget": ["NMiB", "NGiB"], "disk-budget": ["NMiB"], "cost-budget": ["Ns", "Nh"], "baseline": ["batch:N"],
    "sweep": ["lanes=N", "checkpoint-every=N"], "initial": ["run:forward:N"],
  ]

  init() throws {
    folder = try TemporaryFolder()
    try String(repeating: "to be or not to be; ", count: 40).write(
      toFile: folder("corpus.txt"), atomically: false, encoding: .utf8)
    let text = "--data text:corpus.txt --model gpt:layers=1,heads=1,width=8,context=8 --batch-size 2 --steps 3 --evaluate at:3"
    let made = try shell("$B train \(Self.run) --out run && $B train \(text) --out text && cp -r run copy")
    try #require(made.status == 0, "\(made.errors)")
  }

  private func shell(_ script: String) throws -> Command { try Command.shell(script, in: folder.path) }

  /// The options of all commands that take a value, as the executable lists them.
  private func options() throws -> [(command: String, option: String)] {
    struct Tool: Decodable { let command: Subcommand }
    struct Subcommand: Decodable {
      struct Argument: Decodable {
        struct Name: Decodable { let name: String }
        let kind: String
        let names: [Name]?
      }
      let commandName: String
      let subcommands: [Subcommand]?
      let arguments: [Argument]?
    }
    func options(of command: Subcommand, after path: [String]) -> [(command: String, option: String)] {
      (command.subcommands ?? []).filter { $0.commandName != "help" }.flatMap { inner in
        let path = path + [inner.commandName]
        let own = (inner.arguments ?? []).filter { $0.kind == "option" }.compactMap(\.names?.first?.name)
        return own.map { (path.joined(separator: " "), $0) } + options(of: inner, after: path)
      }
    }
    let told = try shell("$B --experimental-dump-help")
    return options(of: try JSONDecoder().decode(Tool.self, from: Data(told.output.utf8)).command, after: [])
  }

  @Test func everyOptionAnswersOrRefuses() throws {
    let all = try options()
    #expect(all.count > 100)
    let trained = Set(all.filter { $0.command == "train" }.map(\.option))
    var lines: [String] = []
    for (command, option) in all {
      // The options are those of 'train', but the longer test tries them all the same.
      if !runsAtLength, ["plan", "frontier"].contains(command), trained.contains(option) { continue }
      var base = try #require(Self.bases[command], "'\(command)' is not among the commands tried").split(separator: " ").map(String.init)
      if let given = base.firstIndex(of: "--\(option)") { base.removeSubrange(given...given + 1) }
      if command == "rewind", option == "rounds" { base.append("--sweep") }
      for form in ["N"] + (Self.forms[option] ?? []).prefix(runsAtLength ? .max : 1) {
        for number in Self.numbers.prefix(runsAtLength ? .max : 3) {
          let words = base.joined(separator: " ").replacing("OUT", with: "out-\(lines.count)")
          lines.append("\(command) \(words) --\(option)=\(form.replacing("N", with: number))")
        }
      }
    }
    // The many processes take some seconds in all, so two halves of them run at the same time.
    try lines.joined(separator: "\n").write(toFile: folder("lines"), atomically: false, encoding: .utf8)
    let tried = try shell(
      """
      half() {
        i=0; while IFS= read -r line || [ -n "$line" ]; do
          i=$((i + 1)); [ $((i % 2)) = $1 ] || continue
          timeout -s KILL 30 $B $line >out-$1 2>said-$1; s=$?
          case $s in 0|64|65|66|73|74|75|78) grep -q 'no words' said-$1 && echo "no words: $line" ;; *) echo "$s: $line" ;; esac
        done <lines
      }
      half 0 & half 1; wait
      """)
    #expect(tried.output == "", "\(tried.output)")
    #expect(try shell("for r in run text copy; do $B verify $r >/dev/null || echo $r; done").output == "")
  }

  /// Hours of work that nobody meant to ask for are refused.
  @Test(arguments: [
    ("runs show run --order forward --iterate 1000000000", 78, "--any-cost"),
    ("export run --order backward --iterate 1000000000 --to a.safetensors", 78, "--any-cost"),
    ("rewind run --order forward --from 1000000000", 78, "--any-cost"),
    ("rewind run --order forward --from 60 --sweep --rounds 2147483648", 64, "--rounds"),
    ("rewind run --order sliding:1000000 --from 1000000000 --slots 0", 78, "too long to rewind"),
    ("average run --exact --iterate 1000000000", 78, "--any-cost"),
    ("text text --order forward --iterate 1000000000", 78, "--any-cost"),
    ("train \(run) --initial run:forward:1000000000 --out new", 78, "--any-cost"),
    ("batches run --to 2147483648", 64, "--to"), ("batches run --to 1000000000", 64, "1,000,000"),
    ("batches run --from 9223372036854775807", 64, "--from"), ("batches run --from 61", 64, "--to"),
  ])
  func workFarBeyondARunIsRefused(command: String, status: Int32, word: String) throws {
    let refused = try shell("timeout -s KILL 30 $B \(command)")
    #expect(refused.status == status && refused.output.isEmpty, "\(refused.errors)")
    #expect(refused.errors.contains(word), "\(refused.errors)")
  }

  /// Iterates slightly beyond the run are replayed, and their cost is reported before.
  @Test func workBeyondARunIsPriced() throws {
    let shown = try shell("$B runs show run --order forward --iterate 90")
    #expect(shown.status == 0 && shown.errors.contains("30 gradient evaluations"), "\(shown.errors)")
    #expect(try shell("$B batches run --from 61 --to 70").output.split(separator: "\n").count == 10)
    let asked = try shell("timeout --foreground -s INT 1 $B runs show run --order forward --iterate 1000000000 --any-cost")
    #expect(asked.errors.contains("gradient evaluations") && asked.status == 124, "\(asked.errors)")
  }

  /// A run stores the absolute paths of order files, and recognizes them by relative ones.
  @Test func orderFilesAreKnownByAnyPath() throws {
    try "1\n2-1\n3-1\n1-4\n".write(toFile: folder("turns.txt"), atomically: false, encoding: .utf8)
    let options = "--model mlp:8 --steps 4 --evaluate every:1 --evaluation-examples 20"
    #expect(try shell("$B train \(options) --order file:turns.txt --out filed").status == 0)
    for path in ["turns.txt", "./turns.txt", "run/../turns.txt", folder("turns.txt")] {
      let shown = try shell("$B runs show filed --order file:\(path) --iterate 3 --json")
      #expect(shown.json["observed"] as? Bool == true, "\(path): \(shown.errors)")
    }
  }
}
