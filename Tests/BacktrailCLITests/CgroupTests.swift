import Foundation
import TestSupport
import Testing

/// Promise "kept budget" as a container counts: in a control group that may be charged for no more than the budget, page cache,
/// kernel memory and all, and has no swap, a run ends as it does elsewhere.
@Suite(.serialized, .enabled(if: LimitedGroup.isPossible, "\(LimitedGroup.isMissing)"))
struct CgroupTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try RandomRun.writeData(into: folder)
  }

  /// Runs the command in a group of its own. The group is gone when it returns.
  private func backtrail(_ line: String, mebibytes: Int) throws -> (command: Command, group: String) {
    try backtrail(line.split(separator: " ").map(String.init), mebibytes: mebibytes)
  }

  private func backtrail(_ arguments: [String], mebibytes: Int) throws -> (command: Command, group: String) {
    let group = try LimitedGroup(bytes: mebibytes << 20)
    defer { group.remove() }
    return (try Command(program: "/bin/sh", ["-c", group.command(Command.executable.path, arguments)], in: folder.path), group.path)
  }

  @Test(arguments: 0..<cases(12, long: 48))
  func aRunInAGroupOfItsBudgetEndsWell(number: Int) throws {
    let options = RandomRun(number, in: folder)
    try check(["train"] + options.train + ["--steps", "\(options.steps)", "--json"], name: "\(number)")
  }

  /// States that take more than half of what there is, checkpoints of them in chains, and disk slots.
  @Test(arguments: [
    "--checkpoint-every 2 --checkpoint-chain 3 --order forward --average none",
    "--checkpoint-every 3 --order tail:3 --order window:4 --lanes 2", "--order blocks:2 --order sliding:2 --average none --lanes 3",
  ])
  func largeStatesAreStoredInAGroupOfTheBudget(options: String) throws {
    let line = "train --model mlp:1536,1536 --steps 8 --evaluate every:2 --evaluation-examples 8 --batch-size 4 --json \(options)"
    try check(line.split(separator: " ").map(String.init), name: "large")
  }

  /// The least budget and one somewhat larger change no bit, and the kernel ends no run.
  private func check(_ train: [String], name: String) throws {
    let free = try Command(train + ["--out", folder("free-\(name)")], in: folder.path)
    try #require(free.status == 0, "\(free.errors)")
    let refused = try Command(train + ["--memory-budget", "8MiB"], in: folder.path)
    let least = try #require(refused.leastBudget, "\(refused.errors)")
    for budget in [least, least + max(8, least / 8)] {
      let run = train + ["--memory-budget", "\(budget)MiB", "--out", folder("\(name)-\(budget)")]
      let limited = try backtrail(run, mebibytes: budget).command
      #expect(limited.status == 0, "\(run): \(limited.status) \(limited.errors)")
      #expect(try limited.text("orders") == free.text("orders"), "\(run)")
    }
  }

  /// An automatic budget is the group's limit. It is told, and stored as a number.
  @Test func anAutomaticBudgetIsThatOfTheGroup() throws {
    let (trained, group) = try backtrail("train --model mlp:64 --steps 20 --memory-budget auto --out run", mebibytes: 100)
    #expect(trained.status == 0, "\(trained.errors)")
    #expect(trained.errors.contains("of the control group \(group)") && trained.errors.contains("memory budget: "), "\(trained.errors)")
    let stored = try Command(["runs", "show", "run", "--json"], in: folder.path)
    func budget(_ shown: Command) throws -> Int {
      try #require((shown.json["configuration"] as? [String: Any])?["memoryBudget"] as? Int, "\(shown.output)")
    }
    let limited = try budget(stored)
    #expect((70...100).contains(limited >> 20))
    // Elsewhere there is more.
    let resumed = try Command(["resume", "run", "--steps", "30", "--memory-budget", "auto"], in: folder.path)
    #expect(resumed.status == 0 && !resumed.errors.contains(group), "\(resumed.errors)")
    let later = try Command(["runs", "show", "run", "--json"], in: folder.path)
    #expect(try budget(later) > limited)
    let (planned, other) = try backtrail("plan --model mlp:64 --steps 20 --memory-budget auto", mebibytes: 100)
    #expect(planned.status == 0 && planned.output.contains("of the control group \(other)"), "\(planned.output) \(planned.errors)")
    // A budget that the group has no room for is none.
    for budget in ["2GiB", "auto"] {
      let refused = try backtrail("train --model mlp:64 --steps 20 --memory-budget \(budget) --out small", mebibytes: 30)
      #expect(refused.command.status == 78, "\(refused.command.errors)")
      #expect(refused.command.errors.contains("of the control group \(refused.group)"), "\(refused.command.errors)")
    }
  }

  @Test func slurmsGrantIsAnAutomaticBudget() throws {
    let plan = try Command.shell(
      "SLURM_MEM_PER_CPU=60 SLURM_CPUS_ON_NODE=3 $B plan --model mlp:64 --steps 20 --memory-budget auto", in: folder.path)
    #expect(plan.status == 0 && plan.output.contains("180.0 MiB, from SLURM_MEM_PER_CPU"), "\(plan.output) \(plan.errors)")
  }
}
