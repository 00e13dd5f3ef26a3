import Foundation
import TestSupport
import Testing

/// Every call that changes a file fails once, or the process is killed there. The run must end with a plain error and
/// resume to the same bits.
@Suite(.serialized, .enabled(if: FaultLibrary.path != nil, "there is no C compiler to build the fault library with"))
struct FaultTests {
  private let folder: TemporaryFolder
  private let log: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    log = try TemporaryFolder()
  }

  private static let options = """
    --model linear --lanes 2 --evaluation-examples 20 --out run --json --order forward --order backward --order sliding:2 \
    --checkpoint-every 5 --checkpoint-chain 2 --steps 15 --evaluate every:5
    """.split(separator: " ").map(String.init)

  @Test(arguments: FaultLibrary.Kind.allCases.filter { $0 != .failedRead })
  private func everyCall(kind: FaultLibrary.Kind) throws {
    let whole = try FaultLibrary.record(["train"] + Self.options, in: folder.path, log: log("log"))
    #expect(whole.status == 0)
    // Lanes come in a different order each time, so the number of calls is approximate.
    let count = try FileLog(path: log("log")).events.count { $0.fails(as: kind) }
    #expect(count > 20)
    var random = SplitMix(state: 11)
    let calls = runsAtLength ? Array(1...count) : Array((1...count).shuffled(using: &random).prefix(5))
    for call in calls {
      try FileManager.default.removeItem(atPath: folder("run"))
      let stopped = try FaultLibrary.run(["train"] + Self.options, in: folder.path, kind: kind, call: call)
      // The code is also 0 if the failure had no consequence, like a short write that is continued.
      let expected: [Int32] = kind == .kill ? [0, SIGKILL] : [0, 73, 74]
      #expect(expected.contains(stopped.status), "call \(call): \(stopped.status) \(stopped.errors)")
      if kind == .failedRename { #expect(stopped.status != 0, "call \(call) failed without a word") }
      if stopped.status != 0, kind != .kill { #expect(stopped.errors.contains("run"), "call \(call): \(stopped.errors)") }
      var again = try Command(["resume", "run", "--json"], in: folder.path)
      if again.status == 66 {
        #expect(stopped.status != 0)
        again = try Command(["train"] + Self.options, in: folder.path)
      }
      #expect(again.status == 0, "call \(call): \(again.errors)")
      for key in ["orders", "averages"] {
        let (found, wanted) = (try again.text(key), try whole.text(key))
        #expect(found == wanted, "call \(call)")
      }
      let verified = try Command(["verify", "run"], in: folder.path)
      #expect(verified.status == 0, "call \(call): \(verified.errors)")
    }
    print("faults: \(calls.count) of \(count) calls, kind \(kind.rawValue)")
  }

  /// A run that exists can't be put elsewhere: what a full disk keeps from being made is told without advice that only `train` could
  /// follow.
  @Test func aFullDiskOfAResumedRun() throws {
    #expect(try Command(["train"] + Self.options, in: folder.path).status == 0)
    let resume = ["resume", "run", "--steps", "25", "--json"]
    try FileManager.default.copyItem(atPath: folder("run"), toPath: log("run"))
    #expect(try FaultLibrary.record(resume, in: folder.path, log: log("log")).status == 0)
    let events = try FileLog(path: log("log")).events.filter { $0.fails(as: .noSpace) }
    var advised = 0
    // Every file and folder that is made, with what is written just before it.
    for (place, event) in events.enumerated() {
      switch event {
      case .open(_, _, true, _), .makeFolder: break
      default: continue
      }
      try FileManager.default.removeItem(atPath: folder("run"))
      try FileManager.default.copyItem(atPath: log("run"), toPath: folder("run"))
      let stopped = try FaultLibrary.run(resume, in: folder.path, kind: .noSpace, call: place + 1)
      guard stopped.status != 0 else { continue }
      #expect([73, 74].contains(stopped.status) && !stopped.errors.contains("--out"), "call \(place + 1): \(stopped.errors)")
      if stopped.errors.contains("make room on the disk") { advised += 1 }
      if advised >= 4 { break }
    }
    #expect(advised > 0)
  }

  /// A failed read says nothing about what is stored, so nothing is given up because of it.
  @Test func everyRead() throws {
    let steps = "--model linear --lanes 1 --evaluation-examples 20 --order forward --order backward --checkpoint-every 5 --checkpoint-chain 2 --evaluate every:5"
    #expect(try Command(("train --out run --steps 20 " + steps).split(separator: " ").map(String.init), in: folder.path).status == 0)
    let whole = try Command(("train --json --out whole --steps 25 " + steps).split(separator: " ").map(String.init), in: folder.path)
    try FileManager.default.moveItem(atPath: folder("run"), toPath: log("run"))
    let checkpoints = try FileManager.default.contentsOfDirectory(atPath: log("run/checkpoints"))
    try FileManager.default.copyItem(atPath: log("run"), toPath: folder("run"))
    let resume = ["resume", "run", "--steps", "25", "--json"]
    #expect(try FaultLibrary.record(resume, in: folder.path, log: log("log")).status == 0)
    let count = try FileLog(path: log("log"), hasReads: true).events.count { if case .read = $0 { true } else { false } }
    #expect(count > 20)
    var random = SplitMix(state: 12)
    for call in runsAtLength ? Array(1...count) : Array((1...count).shuffled(using: &random).prefix(10)) {
      try FileManager.default.removeItem(atPath: folder("run"))
      try FileManager.default.copyItem(atPath: log("run"), toPath: folder("run"))
      let stopped = try FaultLibrary.run(resume, in: folder.path, kind: .failedRead, call: call)
      #expect([0, 65, 66, 74].contains(stopped.status), "read \(call): \(stopped.status) \(stopped.errors)")
      let left = Set(try FileManager.default.contentsOfDirectory(atPath: folder("run/checkpoints")))
      #expect(left.isSuperset(of: checkpoints), "read \(call): checkpoints are gone: \(stopped.errors)")
      let again = try Command(resume, in: folder.path)
      let (found, wanted) = (try again.text("orders"), try whole.text("orders"))
      #expect(found == wanted, "read \(call)")
      #expect(try Command(["verify", "run"], in: folder.path).status == 0, "read \(call)")
    }
  }
}

extension FileLog.Event {
  /// Whether a fault of this kind can occur here, by the way `faults.c` counts.
  fileprivate func fails(as kind: FaultLibrary.Kind) -> Bool {
    switch (self, kind) {
    case (.write, .inputOutput), (.write, .noSpace), (.write, .shortWrite), (.write, .kill): true
    case (.truncate, .inputOutput), (.truncate, .noSpace), (.truncate, .kill): true
    case (.makeFolder, .inputOutput), (.makeFolder, .noSpace), (.makeFolder, .kill): true
    case (.open(_, _, true, _), .inputOutput), (.open(_, _, true, _), .noSpace), (.open(_, _, true, _), .kill): true
    case (.sync, .inputOutput), (.sync, .failedSync), (.sync, .kill): true
    case (.rename, .inputOutput), (.rename, .failedRename), (.rename, .kill): true
    case (.remove, .inputOutput), (.remove, .kill): true
    default: false
    }
  }
}
