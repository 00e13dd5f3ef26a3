import Foundation
import TestSupport
import Testing

/// Promise "nothing finished is lost", in power cuts: every prefix of a run's writes is tried, without
/// what was not synced.
@Suite(.serialized, .enabled(if: FaultLibrary.path != nil, "there is no C compiler to build the recording library with"))
struct PowerCutTests {
  private let folder: TemporaryFolder
  private let lost: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    lost = try TemporaryFolder()
  }

  /// Runs that together perform every operation on a run's folder.
  private static let configurations = [
    "--order forward --order backward --checkpoint-every 10 --steps 40 --evaluate every:10",
    "--order forward --order tail:5 --checkpoint-every 5 --checkpoint-chain 3 --steps 30 --evaluate every:5 --optimizer adam",
    "--order forward@auto:0.01 --order splice:auto --tolerance 0.5 --checkpoint-every 8 --disk-budget 1MiB --steps 32",
    "--order backward --order file:INPUTS/orders.txt --average none --sampler file:INPUTS/batches.txt --checkpoint-every 10 --steps 20 --evaluate every:10",
  ]

  @Test(arguments: configurations)
  func everyPrefix(configuration: String) throws {
    // This path is outside of what is cut, and nothing is written to it.
    try lost.write((1...20).map { n in "\(n)-1\n" }.joined(), to: "orders.txt")
    try lost.write((0..<40).map { batch in (0..<4).map { String(($0 + 5 * batch) % 1000) }.joined(separator: " ") + "\n" }.joined(), to: "batches.txt")
    let options = "train --model linear --lanes 1 --evaluation-examples 20 --out run --json \(configuration)".replacing("INPUTS", with: lost.path)
      .split(separator: " ").map(String.init)
    let log = lost("log")
    let whole = try FaultLibrary.record(options, in: folder.path, log: log)
    #expect(whole.status == 0, "\(whole.errors)")
    let total = try #require(whole.json["gradientEvaluations"] as? Int)
    let events = try FileLog(path: log).events
    #expect(events.count > 100)

    var random = SplitMix(state: UInt64(configuration.utf8.reduce(7) { $0 &* 31 &+ Int($1) } & 0xFFFF))
    // `make test` tries some of the prefixes, otherwise all are tried.
    let stride = runsAtLength ? 1 : max(1, events.count / 12)
    let first = Int.random(in: 0..<stride, using: &random)
    var disk = DiskModel()
    // From here on the run is on disk.
    var isMade = false
    var tried = 0
    for (place, event) in events.enumerated() {
      disk.apply(event)
      if case .sync(_, let path) = event, path == folder("run"), events[..<place].contains(where: \.makesTheRun) { isMade = true }
      guard place % stride == first else { continue }
      for cut in runsAtLength ? DiskModel.Cut.allCases : [DiskModel.Cut.allCases.randomElement(using: &random) ?? .losesAll] {
        tried += 1
        try? FileManager.default.removeItem(atPath: lost("disk"))
        try FileManager.default.createDirectory(atPath: lost("disk"), withIntermediateDirectories: true)
        try disk.write(cut, moving: (folder.path, lost("disk")), using: &random)
        let resumed = try Command(["resume", "run", "--json"], in: lost("disk"))
        if resumed.status == 66 {
          #expect(!isMade, "prefix \(place), \(cut): the run is gone")
          let again = try Command(options, in: lost("disk"))
          #expect(again.status == 0, "prefix \(place), \(cut): \(again.errors)")
          #expect(try again.text("orders") == whole.text("orders"), "prefix \(place), \(cut)")
          continue
        }
        #expect(resumed.status == 0, "prefix \(place), \(cut): \(resumed.errors)")
        guard resumed.status == 0 else { continue }
        for key in ["orders", "averages"] {
          let (found, expected) = (try resumed.text(key), try whole.text(key))
          #expect(found == expected, "prefix \(place), \(cut)")
        }
        // Work stored in synced checkpoints is not repeated.
        let rest = try #require(resumed.json["gradientEvaluations"] as? Int)
        #expect(rest <= total, "prefix \(place), \(cut)")
        // Work that was reported is not repeated, so its cost stays the same.
        if place == events.count - 1 { #expect(resumed.json["wallSeconds"] as? Double == whole.json["wallSeconds"] as? Double, "\(cut)") }
        let verified = try Command(["verify", "run"], in: lost("disk"))
        #expect(verified.status == 0, "prefix \(place), \(cut): \(verified.errors)")
      }
    }
    print("power cuts: \(tried) of \(events.count) prefixes of '\(configuration)'")
  }

  /// A run that is cut repeats at most the work between two checkpoints.
  @Test func noMoreThanAnIntervalIsRepeated() throws {
    let log = lost("log")
    let options = "train --model linear --lanes 1 --evaluation-examples 20 --out run --json --order forward --average none --checkpoint-every 10 --steps 100 --evaluate at:100"
    let whole = try FaultLibrary.record(options.split(separator: " ").map(String.init), in: folder.path, log: log)
    #expect(whole.status == 0)
    let events = try FileLog(path: log).events
    var random = SplitMix(state: 3)
    var disk = DiskModel()
    var position = 0
    var tried = 0
    for event in events {
      // Before a checkpoint is begun, the previous one is on disk and in the database.
      if case .open(_, let path, true, _) = event, let name = path.split(separator: "/").last, name.contains(".ckpt."),
        let begun = name.split(separator: ".").first?.split(separator: "-").last.flatMap({ Int($0) })
      {
        position = begun - 10
        tried += 1
        try? FileManager.default.removeItem(atPath: lost("disk"))
        try FileManager.default.createDirectory(atPath: lost("disk"), withIntermediateDirectories: true)
        try disk.write(.losesAll, moving: (folder.path, lost("disk")), using: &random)
        let resumed = try Command(["resume", "run", "--json"], in: lost("disk"))
        #expect(resumed.json["gradientEvaluations"] as? Int == 100 - position, "\(resumed.errors)")
        #expect(try resumed.text("orders") == whole.text("orders"))
      }
      disk.apply(event)
    }
    #expect(tried == 10)
  }
}

extension FileLog.Event {
  /// Whether this event gives the run's database its name.
  fileprivate var makesTheRun: Bool {
    if case .rename(_, let path) = self { path.hasSuffix("/run.sqlite") } else { false }
  }
}
