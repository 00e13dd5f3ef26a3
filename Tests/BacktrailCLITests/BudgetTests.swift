import Foundation
import TestSupport
import Testing

/// Promise "kept budget": a process stays within its memory budget, or is refused with the least
/// sufficient one. Runs of all kinds are tried in processes of their own, many more with `BACKTRAIL_LONG=1`.
@Suite(.serialized) struct BudgetTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try RandomRun.writeData(into: folder)
  }

  @Test(arguments: 0..<cases(12, long: 72))
  func randomRunsStayWithinTheBudgetTheyAreToldToNeed(number: Int) throws {
    let options = RandomRun(number, in: folder)
    let extends = number % 4 == 3
    let train = ["train"] + options.train + ["--json"]
    let refused = try Command(train + ["--steps", "\(options.steps)", "--memory-budget", "8MiB"], in: folder.path)
    try #require(refused.status == 78, "\(refused.errors)")
    let least = try leastBudget(refused)
    let budget = extends ? least + 4 : least + number % 3 * 5
    let run = folder("run-\(number)")
    let peak = try PeakCommand(
      train + ["--steps", "\(options.steps)", "--memory-budget", "\(budget)MiB", "--out", run], in: folder.path)
    check(peak, budget: budget, isLoose: options.storesCheckpoints || options.usesOpenBLAS, "\(train)")
    guard extends else { return }
    let resume = ["resume", run, "--steps", "\(2 * options.steps)", "--json", "--memory-budget"]
    var extended = try PeakCommand(resume + ["\(budget)MiB"], in: folder.path)
    var needed = budget
    if extended.command.status == 78 {
      needed = try leastBudget(extended.command)
      extended = try PeakCommand(resume + ["\(needed)MiB"], in: folder.path)
    }
    check(extended, budget: needed, isLoose: options.storesCheckpoints || options.usesOpenBLAS, "\(resume) after \(train)")
  }

  /// The plan, the observations and the results are large here, and the model is tiny.
  @Test(arguments: [
    ["--steps", "1500", "--order", "forward", "--order", "splice:5"],
    ["--steps", "10000", "--order", "forward", "--average", "none"],
    ["--steps", "20", "--seeds", "200", "--order", "backward"],
    ["--steps", "2000", "--order", "forward@auto:0.0001", "--order", "splice:5"],
  ])
  func largePlansStayWithinTheBudget(arguments: [String]) throws {
    let train = ["train", "--model", "linear", "--evaluation-examples", "1", "--evaluate", "every:1", "--json"] + arguments
    let least = try leastBudget(try Command(train + ["--memory-budget", "8MiB"], in: folder.path))
    check(
      try PeakCommand(train + ["--memory-budget", "\(least)MiB", "--out", folder("run")], in: folder.path), budget: least,
      isLoose: true, "\(arguments)")
  }

  /// The least budget that a refusal names is enough, whatever measurements have taken and given back: states on disk are measured
  /// too.
  @Test(arguments: ["--model mlp:900,900,900,900 --average none", "--model mlp:900,900,900,900 --optimizer adamw"])
  func theLeastBudgetIsEnough(options: String) throws {
    let line = "train --order forward --steps 2 --evaluate at:2 --batch-size 8 --evaluation-examples 8 --json " + options
    let train = line.split(separator: " ").map(String.init)
    for number in 0..<4 {
      let least = try leastBudget(try Command(train + ["--memory-budget", "8MiB"], in: folder.path))
      let run = try PeakCommand(train + ["--memory-budget", "\(least)MiB", "--out", folder("least-\(number)")], in: folder.path)
      #expect(run.command.status == 0 && run.peakBytes <= least << 20, "\(run.command.errors)")
    }
  }

  /// The advice of a refusal, followed: a run with the changed settings does with the named budget.
  @Test(arguments: [
    ("--model mlp:768,768 --batch-size 8", "--average none"),
    ("--model mlp:1024,1024 --batch-size 8 --average none --checkpoint-every 2 --checkpoint-chain 2", "--checkpoint-chain 0"),
    // Smaller batches need less where they can't be processed in parts.
    ("--model mlp:1500,1500 --batch-size 128 --evaluation-batch-size 8 --average none", "--batch-size 64"),
    ("--model mlp:1500,1500 --optimizer adamw --batch-size 8 --average none", "--optimizer-precision 8bit"),
  ])
  func whatARefusalAdvisesIsEnough(options: String, expected: String) throws {
    let line = "train --order forward --steps 6 --evaluate at:6 --evaluation-examples 8 --json " + options
    let train = line.split(separator: " ").map(String.init)
    let refused = try Command(train + ["--memory-budget", "8MiB"], in: folder.path)
    let least = try #require(refused.leastBudget, "\(refused.errors)")
    let remedies = refused.errors.matches(of: /with (--[a-z-]+ [a-z0-9:]+) (\d+)MiB would do/)
      .map { (change: String($0.1), budget: Int($0.2) ?? 0) }
    #expect((1...2).contains(remedies.count) && remedies.map(\.budget) == remedies.map(\.budget).sorted(), "\(refused.errors)")
    #expect(remedies.contains { $0.change == expected }, "\(refused.errors)")
    for (place, remedy) in remedies.enumerated() {
      #expect(remedy.budget < least)
      let changed = train + remedy.change.split(separator: " ").map(String.init)
      let run = try PeakCommand(changed + ["--memory-budget", "\(remedy.budget)MiB", "--out", folder("run-\(place)")], in: folder.path)
      #expect(run.command.status == 0, "\(remedy): \(run.command.errors)")
      #expect(run.peakBytes <= remedy.budget << 20, "\(remedy)")
    }
  }

  private func check(_ run: PeakCommand, budget: Int, isLoose: Bool, _ what: String) {
    let document = run.command.json
    guard run.command.status == 0, let reported = document["peakResidentBytes"] as? Int,
      let predicted = document["predictedPeakBytes"] as? Int
    else {
      Issue.record("\(what) with \(budget) MiB: code \(run.command.status), \(run.command.errors)")
      return
    }
    let peak = max(reported, run.peakBytes)
    #expect(peak <= budget << 20, "\(what)")
    #expect(Double(run.peakBytes) <= Double(reported) * 1.01 + 0.25 * 1_048_576, "\(what)")
    #expect(predicted >= peak, "\(what)")
    // Lanes that could store at the same time may happen not to, and OpenBLAS's buffers are known by their bound.
    let slack = (isLoose ? 6 : 2.5) * 1_048_576
    #expect(Double(predicted) <= max(Double(peak) * 1.03, Double(peak) + slack), "\(what)")
  }

  private func leastBudget(_ refused: Command) throws -> Int { try #require(refused.leastBudget, "\(refused.errors)") }
}

/// A run of `backtrail` and its largest resident size.
///
/// The figure of `wait4` would be wrong: that of a child begins with what the parent had before `exec`. So the
/// kernel's high-water mark of the process is read repeatedly; a peak after the last reading is included in the
/// figure that the process itself reads when it ends its document.
private struct PeakCommand {
  let command: Command
  let peakBytes: Int

  init(_ arguments: [String], in folder: String) throws {
    var peak = 0
    command = try Command(arguments, in: folder) { process in
      let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
      // Before `exec` the figure is that of the parent.
      guard status.hasPrefix("Name:\tbacktrail\n"), let line = status.firstMatch(of: /VmHWM:\s+(\d+) kB/) else { return }
      peak = max(peak, (Int(line.1) ?? 0) << 10)
    }
    peakBytes = peak
  }
}
