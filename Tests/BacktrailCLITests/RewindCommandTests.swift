import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct RewindCommandTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    let trained = try backtrail(
      "train --model mlp:8 --steps 60 --evaluation-examples 20 --order backward --evaluate at:60 --checkpoint-every 0 --out run")
    #expect(trained.status == 0, "\(trained.errors)")
  }

  private func backtrail(_ line: String) throws -> Command {
    try Command(line.split(separator: " ").map(String.init), in: folder.path)
  }

  private let rewind = "rewind run --order backward --from 60"

  private var slotFolders: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder("run"))) ?? []).filter { $0.hasPrefix("slots") }
  }

  @Test func oneRewindPrintsItsStates() throws {
    let plain = try backtrail("\(rewind) --slots 3 --chart loss.svg")
    let lines = plain.output.split(separator: "\n")
    #expect(lines.count == 61 && lines[0] == "n\tbatch\ttraining loss\tdistance\tdigest")
    #expect(lines[1].hasPrefix("59\t1\t") && lines[60].hasPrefix("0\t60\t"))
    #expect(plain.errors.contains("with 3 slots in memory") && !plain.errors.contains("approximate"))
    #expect(try text("loss.svg").contains("training loss on the next batch"))
    // The results do not depend on the slots or on the chart.
    for slots in ["--slots all", "--slots 0 --disk-slots all --least updates", "--disk-slots 2 --chart d.svg --chart-y distance"] {
      #expect(try backtrail("\(rewind) \(slots)").output == plain.output, "\(slots)")
    }
    #expect(try text("d.svg").contains("distance to iterate 60"))

    let rounded = try backtrail("\(rewind) --slots 3 --slot-precision bfloat16 --json")
    #expect(rounded.json["isApproximate"] as? Bool == true)
    #expect(rounded.json["slotPrecision"] as? String == "bfloat16")
    let exact = try backtrail("\(rewind) --slots 3 --json")
    #expect(exact.json["isApproximate"] as? Bool == false)
    #expect(exact.json["updates"] as? Int == rounded.json["updates"] as? Int)
    #expect(try #require(exact.json["memoryBytes"] as? Int) == 2 * #require(rounded.json["memoryBytes"] as? Int))
    #expect(try exact.text("states") != rounded.text("states"))
    let words = try backtrail("\(rewind) --slots 3 --slot-precision float16")
    #expect(words.errors.contains("approximate") && words.errors.contains("--sweep"))
    #expect(slotFolders.isEmpty)
  }

  @Test func aSweepIsATableADocumentAFileAndAChart() throws {
    let sweep = try backtrail("\(rewind) --sweep --csv sweep.csv --chart sweep.svg")
    #expect(sweep.status == 0, "\(sweep.errors)")
    #expect(sweep.errors.contains("48 rewinds") && sweep.errors.contains("48 of 48: disk, float16, 58 slots"))
    let rows = sweep.output.split(separator: "\n").filter { $0.hasPrefix("memory") || $0.hasPrefix("disk") }
    #expect(rows.count == 48)
    #expect(rows.count { $0.contains("  all  ") } == 16)
    let lines = try text("sweep.csv").split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
    #expect(lines.count == 49 && lines.allSatisfy { $0.count == 17 })
    let chart = try text("sweep.svg")
    for name in ["memory, float32", "disk, bfloat16", "seconds", "60 states rewound"] { #expect(chart.contains(name), "\(name)") }

    let some = try backtrail(
      """
      \(rewind) --to 9 --sweep --slots 2,all --tiers disk --slot-precision float32,float16 --least time --rounds 2 --json \
      --chart u.svg --chart-y updates
      """)
    let points = try #require(some.json["points"] as? [[String: Any]])
    #expect(points.count == 4 && some.errors.isEmpty)
    for point in points {
      #expect(point["updates"] as? Int == point["predictedUpdates"] as? Int)
      #expect(point["predictedSeconds"] != nil && point["tier"] as? String == "disk" && point["states"] as? Int == 51)
    }
    #expect(points.map { $0["error"] == nil } == [true, true, false, false])
    #expect(try text("u.svg").contains(">updates<"))
    #expect(slotFolders.isEmpty)
  }

  private func text(_ name: String) throws -> String { String(decoding: try folder.read(name), as: UTF8.self) }

  @Test func badValues() throws {
    let cases: [(options: String, status: Int32, word: String)] = [
      ("--slots x", 64, "'x'"), ("--slots -1", 64, "--slots"), ("--slots 1,4", 64, "Add --sweep"), ("--slots 4,", 64, "''"),
      ("--sweep --slots 4,4", 64, "twice"), ("--sweep --slots 1;2", 64, "'1;2'"), ("--sweep --disk-slots 3", 64, "--tiers"),
      ("--slot-precision int8", 64, "int8"), ("--slot-precision float32,float16", 64, "--sweep"), ("--tiers disk", 64, "--sweep"),
      ("--sweep --tiers tape", 64, "tape"), ("--least effort", 64, "effort"), ("--to 60", 64, "--to is 60"),
      ("--sweep --to 60", 64, "--to is 60"), ("--sweep --rounds 0", 64, "--rounds"), ("--rounds 2", 64, "--sweep"),
      ("--csv a.csv", 64, "--sweep"), ("--chart a.png", 64, ".svg"), ("--chart-y loss", 64, "--chart"),
      ("--chart a.svg --chart-y updates", 64, "--chart-y is updates"),
      ("--sweep --chart a.svg --chart-y loss", 64, "--chart-y is loss"),
      ("--chart nowhere/a.svg", 73, "nowhere/a.svg"), ("--sweep --csv nowhere/a.csv", 73, "nowhere/a.csv"),
      ("--sweep --chart nowhere/a.svg", 73, "nowhere/a.svg"), ("--seed 4", 78, "--seed"), ("--order moon", 64, "moon"),
    ]
    for (options, status, word) in cases {
      let command = try backtrail("\(rewind) \(options)")
      #expect(command.status == status, "\(options): \(command.errors)")
      #expect(command.errors.contains(word), "\(options): \(command.errors)")
      #expect(command.output.isEmpty, "\(options)")
    }
  }

  private func shell(_ script: String) throws -> Command { try Command.shell(script, in: folder.path) }

  /// A rewind of a long path with the process number `$PID`, once its slots have files.
  private let longRewind = """
    $B rewind run --order forward --from 100000000 --any-cost --to 99999990 --slots 0 --disk-slots 3 --least updates >/dev/null 2>errors & PID=$!
    until ls run/slots-* >/dev/null 2>&1; do sleep 0.01; kill -0 $PID || exit 9; done
    """

  @Test(arguments: ["INT", "TERM", "HUP"])
  func signalsLeaveNothing(signal: String) throws {
    // A shell's background processes ignore SIGINT unless it controls jobs.
    let stopped = try shell("set -m; \(longRewind); kill -\(signal) $PID; wait $PID; exit $?")
    #expect(stopped.status == 75)
    #expect(try text("errors").contains("interrupted"))
    #expect(slotFolders.isEmpty)
  }

  /// The files of a killed rewind are removed by the next command that writes, but not while the rewind lives.
  @Test(arguments: ["$B rewind run --order backward --from 60 --disk-slots 1", "$B verify run"])
  func killedRewindsAreCleanedUpAfter(next: String) throws {
    let killed = try shell("\(longRewind); \(next) >/dev/null 2>&1; ls -d run/slots-*; kill -9 $PID; wait $PID; exit 0")
    #expect(killed.output.split(separator: "\n").count == 1, "\(killed.output) \(killed.errors)")
    #expect(slotFolders.count == 1)
    #expect(try shell("\(next) >/dev/null").status == 0)
    #expect(slotFolders.isEmpty)
  }

  @Test func aFullDiskAndAClosedOutputAreErrors() throws {
    // The process may write files of at most 40 KiB, as if the disk were full: those of the database fit, a state
    // does not.
    let wide = "train --model mlp:256 --steps 9 --order backward --evaluate at:9 --checkpoint-every 0 --out wide"
    #expect(try backtrail(wide).status == 0)
    for options in ["--slots 0 --disk-slots 5 --least updates", "--disk-slots 1", "--sweep --tiers disk"] {
      let full = try shell("ulimit -f 40; $B rewind wide --order backward --from 60 \(options)")
      #expect(full.status == 74, "\(options): \(full.errors)")
      // Times are measured if they determine the schedule, which writes a state too.
      #expect(full.errors.contains("slots-") || full.errors.contains(".calibration-"), "\(options): \(full.errors)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder("wide")).allSatisfy {
        !$0.hasPrefix("slots") && !$0.hasPrefix(".calibration")
      })
    }
    // The output is larger than the buffer of a pipe.
    let closed = try shell(
      "$B rewind run --order backward --from 4000 --disk-slots 5 --least updates | head -1; exit ${PIPESTATUS[0]}")
    #expect(closed.status == 74 && closed.output == "n\tbatch\ttraining loss\tdistance\tdigest\n")
    // Whoever closes a pipe knows it.
    #expect(!closed.errors.contains("standard output") && slotFolders.isEmpty)
  }
}
