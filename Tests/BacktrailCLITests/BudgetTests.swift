import Foundation
import TestSupport
import Testing

/// Promise "kept budget": a process stays within its memory budget, or is refused with the least
/// sufficient one. Runs of all kinds are tried in processes of their own, many more with `BACKTRAIL_LONG=1`.
@Suite(.serialized) struct BudgetTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try folder.write(String(repeating: "in reverse order, batches, ", count: 200), to: "text.txt")
    try FileManager.default.createDirectory(atPath: folder("images"), withIntermediateDirectories: true)
    for (name, count) in [("train", 64), ("t10k", 32)] {
      // An IDX file: the magic number, extents, bytes.
      let pixels = (0..<count * 144).map { UInt8(truncatingIfNeeded: $0 &* 7919 >> 3) }
      try folder.write([0, 0, 8, 3, 0, 0, 0, UInt8(count), 0, 0, 0, 12, 0, 0, 0, 12] + pixels, to: "images/\(name)-images-idx3-ubyte")
      try folder.write([0, 0, 8, 1, 0, 0, 0, UInt8(count)] + (0..<count).map { UInt8($0 % 10) }, to: "images/\(name)-labels-idx1-ubyte")
    }
  }

  /// A random configuration, always the same for the same number.
  private func options(_ number: Int) -> (train: [String], steps: Int, stores: Bool, extends: Bool) {
    var random = SplitMix(state: UInt64(number))
    let model: (name: String, data: String, steps: Int) =
      [
        ("linear", "digits", 400), ("mlp:128", "digits", 120), ("mlp:512,512", "digits", 24), ("lenet", "mnist:\(folder("images"))", 12),
        ("gpt:layers=1,heads=2,width=16,context=16", "text:\(folder("text.txt"))", 12), ("resnet18:4", "digits", 4),
      ][number % 6]
    let orders = ["forward", "backward", "tail:5", "splice:4", "window:3", "sliding:2", "blocks:4", "flipflop:3"].shuffled(using: &random)
    let chosen = Array(orders.prefix(1 + Int.random(in: 0...2, using: &random)))
    let steps = max(2, model.steps / Int.random(in: 1...3, using: &random))
    let every = chosen.contains("backward") ? max(1, steps / 12) : Bool.random(using: &random) ? 1 : max(1, steps / 7)
    let interval = [0, 1000, max(1, steps / 10)].randomElement(using: &random) ?? 0
    let chain = interval > 0 && Bool.random(using: &random) ? 3 : 0
    let average = Bool.random(using: &random) ? ["--average", "none"] : []
    return (
      ["--model", model.name, "--data", model.data] + chosen.flatMap { ["--order", $0] } + average + [
        "--evaluate", "every:\(every)", "--seeds", "\([1, 1, 2, 5].randomElement(using: &random) ?? 1)",
        "--lanes", "\(Int.random(in: 1...3, using: &random))", "--checkpoint-every", "\(interval)", "--checkpoint-chain", "\(chain)",
        "--evaluation-examples", "8", "--evaluation-batch-size", "8", "--batch-size", "8",
      ], steps, interval > 0, number % 4 == 3
    )
  }

  @Test(arguments: 0..<cases(12, long: 72))
  func randomRunsStayWithinTheBudgetTheyAreToldToNeed(number: Int) throws {
    let options = options(number)
    let train = ["train"] + options.train + ["--json"]
    let refused = try Command(train + ["--steps", "\(options.steps)", "--memory-budget", "8MiB"], in: folder.path)
    try #require(refused.status == 78, "\(refused.errors)")
    let least = try leastBudget(refused)
    let budget = options.extends ? least + 4 : least + number % 3 * 5
    let run = folder("run-\(number)")
    let peak = try PeakCommand(
      train + ["--steps", "\(options.steps)", "--memory-budget", "\(budget)MiB", "--out", run], in: folder.path)
    check(peak, budget: budget, stores: options.stores, "\(train)")
    guard options.extends else { return }
    let resume = ["resume", run, "--steps", "\(2 * options.steps)", "--json", "--memory-budget"]
    var extended = try PeakCommand(resume + ["\(budget)MiB"], in: folder.path)
    var needed = budget
    if extended.command.status == 78 {
      needed = try leastBudget(extended.command)
      extended = try PeakCommand(resume + ["\(needed)MiB"], in: folder.path)
    }
    check(extended, budget: needed, stores: options.stores, "\(resume) after \(train)")
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
      stores: true, "\(arguments)")
  }

  /// Memory is limited as in a container: there is no more than the budget.
  @Test func aRunInAGroupOfItsBudgetEndsWell() throws {
    let group = try MemoryGroup(bytes: 64 << 20)
    guard let group else {
      print("not tested: this machine lets nobody make a group with a memory limit")
      return
    }
    defer { group.remove() }
    let train = [
      "train", "--model", "mlp:256,256", "--order", "forward", "--order", "tail:9", "--steps", "60", "--checkpoint-every", "10",
      "--evaluate", "every:2", "--evaluation-examples", "20", "--memory-budget", "64MiB", "--json", "--out", folder("run"),
    ]
    // The shell joins the control group and then becomes the run.
    let words = ([Command.executable.path] + train).map { "'\($0)'" }.joined(separator: " ")
    let command = try Command(program: "/bin/sh", ["-c", "echo $$ > \(group.path)/cgroup.procs && exec \(words)"], in: folder.path)
    #expect(command.status == 0, "\(command.errors)")
  }

  private func check(_ run: PeakCommand, budget: Int, stores: Bool, _ what: String) {
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
    // Lanes that could store at the same time may happen not to.
    let slack = (stores ? 6 : 2.5) * 1_048_576
    #expect(Double(predicted) <= max(Double(peak) * 1.03, Double(peak) + slack), "\(what)")
  }

  private func leastBudget(_ refused: Command) throws -> Int {
    let match = try #require(refused.errors.firstMatch(of: /can do with is (\d+)MiB/), "\(refused.errors)")
    return try #require(Int(match.1))
  }
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

/// A control group with a memory limit, of version 2 or 1.
private struct MemoryGroup {
  let path: String

  /// Nil if the system does not allow making one.
  init?(bytes: Int) throws {
    let name = "backtrail-\(UUID().uuidString)"
    for (parent, limit, swap) in [
      ("/sys/fs/cgroup", "memory.max", "memory.swap.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    ] {
      let path = "\(parent)/\(name)"
      guard (try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)) != nil else { continue }
      let isLimited = (try? "\(bytes)".write(toFile: "\(path)/\(limit)", atomically: false, encoding: .utf8)) != nil
      // If there is no swap, there is nothing to switch off.
      try? (swap.contains("memsw") ? "\(bytes)" : "0").write(toFile: "\(path)/\(swap)", atomically: false, encoding: .utf8)
      if isLimited && FileManager.default.fileExists(atPath: "\(path)/cgroup.procs") {
        self.path = path
        return
      }
      rmdir(path)
    }
    return nil
  }

  func remove() { rmdir(path) }
}
