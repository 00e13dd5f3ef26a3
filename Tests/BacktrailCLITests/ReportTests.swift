import Foundation
import TestSupport
import Testing

/// The page about a run.
@Suite struct ReportTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func backtrail(_ arguments: [String], stop: Command.Stop? = nil) throws -> Command {
    try Command(arguments, in: folder.path, stop: stop)
  }

  private func backtrail(_ line: String) throws -> Command { try backtrail(line.split(separator: " ").map(String.init)) }

  private func page(_ name: String) throws -> XMLDocument {
    try XMLDocument(String(decoding: folder.read(name), as: UTF8.self))
  }

  /// Runs a command in a shell that finds `backtrail`.
  private func shell(_ line: String) throws -> Command {
    let bin = Command.executable.deletingLastPathComponent().path
    return try Command(program: "/bin/sh", ["-c", "PATH='\(bin)':\"$PATH\"\n\(line)"], in: folder.path)
  }

  private let small = "--model mlp:8 --steps 40 --evaluation-examples 20"

  @Test func aFinishedRun() throws {
    let train = try backtrail("train \(small) --order forward --order backward --order tail:5 --evaluate every:2 --seeds 3 --out run")
    #expect(train.status == 0)
    let report = try backtrail("report run")
    #expect(report.status == 0, "\(report.errors)")
    #expect(report.output == "run.html: report of run\n")
    let xml = try page("run.html")

    // Each row is the one that `train` printed.
    let printed = train.output.split(separator: "\n").prefix(5).map { line in
      line.split(separator: "  ").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
    #expect(printed.count == 5 && printed[1][0] == "forward")
    let cells = xml.texts("td")
    for row in printed.dropFirst() {
      #expect(cells.indices.contains { Array(cells[$0...].prefix(row.count)) == row }, "\(row)")
    }
    #expect(xml.texts("th").prefix(6) == printed[0][...])

    #expect(xml.texts("h2") == ["Orders compared", "Curves", "Neighbour noise", "Frontier", "Cost against plan", "The run", "Making it again"])
    let text = xml.texts("p").joined(separator: "\n")
    for words in ["Backward order is not better training", "equally good on average", "forward's neighbour noise is"] {
      #expect(text.contains(words), "\(words)")
    }
    // The charts are the loss, its last half, accuracy, training loss, noise and frontier, for wide and narrow windows.
    #expect(xml.all("svg").count == 2 * 6)
    let shown = try backtrail("runs show run --json")
    for fact in ["finished", "0 to 2", "digits", try #require(shown.json["fingerprint"] as? String)] {
      #expect(cells.contains(fact), "\(fact)")
    }
    // Promise "true plan", as the page shows it.
    let planned = try #require(cells.firstIndex(of: "gradient evaluations"))
    #expect(cells[planned + 1] == cells[planned + 2])
    #expect(xml.all("tr").contains { $0.attributes["class"] == "marked" })
  }

  /// The command on the page makes the same run, whatever its options and the names of its files.
  @Test func theCommandMakesTheSameRun() throws {
    try folder.write((1...40).map { "\($0)-1" }.joined(separator: "\n") + "\n", to: "it's an order $HOME.txt")
    #expect(try backtrail("train \(small) --order forward --out start").status == 0)
    #expect(try backtrail("export start --order forward --iterate 40 --to start.safetensors").status == 0)
    let options =
      """
      train \(small) --order backward --order tail:5@every:3 --evaluate at:7,40 --seed 3 --seeds 2 --sampler replacement --batch-size 8 \
      --learning-rate 0.003 --optimizer adamw:0.8,0.95 --weight-decay 0.2 --schedule cosine:0.1 --warm-up 4 \
      --schedule-index batch --average exponential:0.5 --average uniform --evaluation-batch-size 7 --lanes 1 --kernel-threads 2 --checkpoint-every 9 \
      --checkpoint-chain 1 --checkpoint-level 2 --memory-budget 200MiB --disk-budget 1234567 --tolerance 0.01 \
      --initial start.safetensors --out run
      """.split(separator: " ").map(String.init) + ["--order", "file:it's an order $HOME.txt"]
    let train = try backtrail(options + ["--json"])
    #expect(train.status == 0, "\(train.errors)")
    // The run has its own copy.
    try FileManager.default.removeItem(atPath: folder("start.safetensors"))
    #expect(try backtrail("report run --to a.html").status == 0)
    let command = try #require(page("a.html").texts("code").first { $0.hasPrefix("backtrail train") })
    let again = try shell(command + " --out again --json")
    #expect(again.status == 0, "\(again.errors)")
    #expect(try again.text("orders") == train.text("orders"))

    func configuration(_ run: String) throws -> [String: Any] {
      let command = try backtrail("runs show \(run) --json")
      var configuration = try #require(command.json["configuration"] as? [String: Any])
      configuration["initial"] = nil
      return configuration
    }
    let (first, second) = (try configuration("run"), try configuration("again"))
    #expect(first.count > 25 && NSDictionary(dictionary: first) == NSDictionary(dictionary: second))
  }

  @Test func theCommandSaysOnlyWhatIsNotUsual() throws {
    #expect(try backtrail("train --out run").status == 0)
    #expect(try backtrail("report run").status == 0)
    #expect(try page("run.html").texts("code") == ["backtrail train"])
  }

  /// A cosine schedule belongs to the steps a run was made with, so an extended run is made again in two steps.
  @Test func anExtendedRunIsMadeAgainInTwoSteps() throws {
    #expect(try backtrail("train \(small) --schedule cosine --out run").status == 0)
    let extended = try backtrail("resume run --steps 60 --json")
    #expect(extended.status == 0)
    #expect(try backtrail("report run").status == 0)
    let commands = try page("run.html").texts("code")
    #expect(commands.count == 2)
    let again = try shell(commands.joined(separator: "\n").replacing("RUN", with: "again"))
    #expect(again.status == 0, "\(again.errors)")
    #expect(try backtrail("resume again --json").text("orders") == extended.text("orders"))
  }

  @Test func namesComeOutAsText() throws {
    let name = "<b>&\"x"
    let rows = (0..<40).map { "\($0 % 7),\($0 % 5),\($0 % 2)" }.joined(separator: "\n")
    try folder.write(rows, to: "\(name).csv")
    let train = try backtrail(["train", "--data", "csv:\(name).csv", "--batch-size", "4", "--steps", "9", "--out", name])
    #expect(train.status == 0, "\(train.errors)")
    let report = try backtrail(["report", name])
    #expect(report.status == 0, "\(report.errors)")
    let xml = try page("\(name).html")
    #expect(xml.all("b").isEmpty)
    #expect(xml.texts("td").contains(name))
    #expect(xml.texts("td").contains { $0.hasPrefix("csv:/") && $0.contains("/\(name).csv") })
    let command = try #require(xml.texts("code").first)
    #expect(command.contains("\(name).csv") && command.contains("'csv:/"))
  }

  @Test func anUnfinishedRunShowsWhatThereIs() throws {
    let train = ["train", "--model", "mlp:64", "--steps", "1500", "--evaluate", "every:50", "--checkpoint-every", "100", "--out", "run"]
    // On a busy machine the run may end before the signal reaches it; then it is tried again.
    while try backtrail(train, stop: .onceFilled(folder: folder("run/checkpoints"), signal: SIGINT)).status != 75 {
      try FileManager.default.removeItem(atPath: folder("run"))
    }
    let report = try backtrail("report run")
    #expect(report.status == 0, "\(report.errors)")
    let xml = try page("run.html")
    #expect(xml.texts("h2").first == "So far")
    #expect(xml.texts("p").contains { $0.hasPrefix("This run was interrupted.") })
    #expect(!xml.texts("h2").contains("Cost against plan"))
    let command = try #require(xml.texts("code").first)
    #expect(try shell(command).status == 0)
    #expect(try backtrail("report run").status == 0)
    #expect(try page("run.html").texts("h2").first == "Orders compared")
  }

  /// If something can't be compared, one line says so, and everything else is there.
  @Test func aRunThatCannotBeCompared() throws {
    #expect(try backtrail("train \(small) --order forward --out run").status == 0)
    #expect(try backtrail("report run").status == 0)
    let xml = try page("run.html")
    #expect(xml.texts("p").contains { $0.hasPrefix("Not compared: ") && $0.contains("--order backward") })
    #expect(!xml.texts("p").contains { $0.contains("Backward order is not better training") })

    try folder.write((0..<40).map { "\($0 % 7),\($0 % 5),\($0 % 2)" }.joined(separator: "\n"), to: "data.csv")
    #expect(try backtrail("train --data csv:data.csv --batch-size 4 --steps 20 --evaluate every:1 --out gone").status == 0)
    try FileManager.default.removeItem(atPath: folder("data.csv"))
    let gone = try backtrail("report gone")
    #expect(gone.status == 0, "\(gone.errors)")
    let page = try page("gone.html")
    #expect(page.texts("p").contains { $0.hasPrefix("Not compared: ") && $0.contains("data.csv") })
    #expect(page.texts("td").contains("backward"))
  }

  @Test func badInput() throws {
    try FileManager.default.createDirectory(atPath: folder("empty"), withIntermediateDirectories: true)
    #expect(try backtrail("train \(small) --out run").status == 0)
    let cases: [(line: String, status: Int32, word: String)] = [
      ("report nowhere", 66, "nowhere"), ("report empty", 66, "empty"), ("report run --to none/x.html", 73, "none/x.html"),
      ("report run --to x.txt", 64, ".html"), ("report", 64, "run"),
    ]
    for (line, status, word) in cases {
      let command = try backtrail(line)
      #expect(command.status == status, "\(line): \(command.errors)")
      #expect(command.errors.contains(word), "\(line): \(command.errors)")
      #expect(command.output.isEmpty)
    }
    #expect(!FileManager.default.fileExists(atPath: folder("nowhere.html")))
    // A damaged run is named.
    try folder.write("not a database", to: "run/run.sqlite")
    let damaged = try backtrail("report run")
    #expect(damaged.status == 65 && damaged.errors.contains("run.sqlite"), "\(damaged.errors)")
  }
}
