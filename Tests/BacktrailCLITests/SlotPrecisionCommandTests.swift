import Foundation
import TestSupport
import Testing

/// `--optimizer-precision 8bit` as a user meets it: what it takes, and that nothing a run may use changes its bits.
@Suite struct SlotPrecisionCommandTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func backtrail(_ line: String) throws -> Command {
    try Command(line.split(separator: " ").map(String.init), in: folder.path)
  }

  private func digests(_ command: Command) throws -> [String] {
    let orders = try #require(command.json["orders"] as? [[String: Any]], "\(command.errors)")
    return orders.flatMap { ($0["iterates"] as? [[String: Any]] ?? []).compactMap { $0["digest"] as? String } }
  }

  /// AdamW's state is three times its parameters, and one and a half times with a byte for each number of its slots.
  @Test func predictedMemoryFalls() throws {
    func plan(_ slots: String) throws -> (state: Int, peak: Int) {
      let line = "plan --model mlp:1000,1000 --optimizer adamw --order forward --steps 100 --lanes 1 --json --optimizer-precision \(slots)"
      let plan = try backtrail(line)
      return (
        try #require(plan.json["stateBytes"] as? Int, "\(plan.errors)"), try #require(plan.json["predictedPeakBytes"] as? Int)
      )
    }
    let (whole, coded) = (try plan("float32"), try plan("8bit"))
    #expect(Double(coded.state) > 0.5 * Double(whole.state) && Double(coded.state) < 0.51 * Double(whole.state))
    // The lane's state, the initial one and two averages.
    #expect(whole.peak - coded.peak >= 4 * (whole.state - coded.state) * 9 / 10)
  }

  /// In the least budget that it names, the run has its states on disk, and it ends with the same bits. Its checkpoints stand
  /// verification, and an iterate that is exported can be begun with.
  @Test func statesOnDiskHaveTheSameBits() throws {
    let train = """
      train --model mlp:900,900,900,900 --optimizer adamw --optimizer-precision 8bit --learning-rate 0.001 --order forward --order backward \
      --steps 4 --evaluate at:2,4 --batch-size 8 --evaluation-examples 8 --average none --checkpoint-every 2 --json
      """
    let free = try backtrail("\(train) --out free")
    let expected = try digests(free)
    #expect(free.status == 0 && expected.count == 4)
    let least = try #require(try backtrail("\(train) --memory-budget 8MiB").leastBudget)
    let plan = try backtrail(train.replacing("train ", with: "plan ") + " --memory-budget \(least)MiB")
    let chosen = (plan.json["memoryChoice"] as? [String: Any])?["chosen"] as? [String: Any]
    #expect(try #require(chosen?["bytesReadPerUpdate"] as? Int, "\(plan.errors)") > 0)
    let paged = try backtrail("\(train) --memory-budget \(least)MiB --out paged")
    #expect(try digests(paged) == expected)
    #expect(try #require(paged.json["peakResidentBytes"] as? Int) <= least << 20)
    for run in ["free", "paged"] { #expect(try backtrail("verify \(run)").status == 0) }
    #expect(try backtrail("runs show free").output.contains("adamw, 8bit slots"))
    #expect(try backtrail("export free --order forward --iterate 4 --to state.safetensors").status == 0)
    let begun = try backtrail("\(train) --initial state.safetensors --out begun")
    let others = try digests(begun)
    #expect(others.count == 4 && others != expected)
    #expect(try digests(backtrail("\(train) --initial free:forward:4 --out recalled")) == others)
  }
}
