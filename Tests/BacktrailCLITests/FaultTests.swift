import Foundation
import TestSupport
import Testing

/// Every call that changes a file fails once, in turn, or finds the process killed: the run ends with a plain error, and resumes to the same bits.
@Suite(.serialized, .enabled(if: FaultLibrary.path != nil, "there is no C compiler to build the fault library with"))
struct FaultTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let options = """
    --model linear --lanes 2 --evaluation-examples 20 --out run --json --order forward --order backward --order sliding:2 \
    --checkpoint-every 5 --checkpoint-chain 2 --steps 15 --evaluate every:5
    """.split(separator: " ").map(String.init)

  @Test(arguments: FaultLibrary.Kind.allCases)
  private func everyCall(kind: FaultLibrary.Kind) throws {
    let whole = try Command(["train"] + Self.options, in: folder.path)
    #expect(whole.status == 0)
    var random = SplitMix(state: 11)
    var call = FaultLibrary.isLong ? 1 : Int.random(in: 1...12, using: &random)
    var injected = 0
    while true {
      try FileManager.default.removeItem(atPath: folder("run"))
      let stopped = try FaultLibrary.run(["train"] + Self.options, in: folder.path, kind: kind, call: call)
      // 0 too where what failed was of no consequence, as a short write that is gone on with.
      let expected: [Int32] = kind == .kill ? [0, SIGKILL] : [0, 73, 74]
      #expect(expected.contains(stopped.status), "call \(call): \(stopped.status) \(stopped.errors)")
      if stopped.status != 0, kind != .kill { #expect(stopped.errors.contains("run"), "call \(call): \(stopped.errors)") }
      injected += 1
      var again = try Command(["resume", "run", "--json"], in: folder.path)
      if again.status == 66 {
        #expect(stopped.status != 0)
        again = try Command(["train"] + Self.options, in: folder.path)
      }
      #expect(again.status == 0, "call \(call): \(again.errors)")
      #expect(try again.text("orders") == whole.text("orders"), "call \(call)")
      let verified = try Command(["verify", "run"], in: folder.path)
      #expect(verified.status == 0, "call \(call): \(verified.errors)")
      // The last calls of a run are those of an undisturbed one.
      if stopped.status == 0, stopped.json["gradientEvaluations"] as? Int == whole.json["gradientEvaluations"] as? Int, kind != .shortWrite || call > 200 {
        break
      }
      call += FaultLibrary.isLong ? 1 : Int.random(in: 20...60, using: &random)
    }
    print("faults: \(injected) of kind \(kind.rawValue)")
  }
}
