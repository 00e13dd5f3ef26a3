import Foundation
import Replay
import Runs
import Tensors
import TestSupport
import Testing

/// Promise "kept budget", for problems that say they take less memory than they do: the run is stopped in order before it
/// breaks its budget. Each test trains in a process of its own, since the memory of a process is what is measured.
@Suite(.serialized) struct MemoryWatchTests {
  @Test(arguments: [1, 3])
  func aWorkspaceLargerThanSaidIsFoundBeforeTheFirstUpdate(lanes: Int) async throws {
    let folder = try TemporaryFolder()
    await #expect(processExitsWith: .success) { [path = folder.path as String, lanes = lanes as Int] in
      let run = try Run.create(
        at: "\(path)/run", Liar(takes: 120 << 20), orders: [.forward, .tail(3), .backward], steps: 12, observing: .every(2),
        averages: [.uniform], budgets: Budgets(lanes: lanes, memory: .bytes(ResidentMemory.currentBytes + (60 << 20))))
      let progress = ReplayProgress()
      let words = await refusal { try await run.finish(progress: progress) }
      // With several lanes, others may be at work when the last is made.
      #expect(lanes > 1 || progress.gradientEvaluations == 0)
      #expect(words.contains("was stopped") && words.contains("activations \(lanes)MiB"), "\(words)")
      #expect(try StoredRun("\(path)/run").status == "interrupted")
      try words.write(toFile: "\(path)/words", atomically: false, encoding: .utf8)
    }
    // The budget that the message names is enough.
    await #expect(processExitsWith: .success) { [path = folder.path as String] in
      let words = try String(contentsOfFile: "\(path)/words", encoding: .utf8)
      let named = try #require(words.firstMatch(of: /`memory-budget` (\d+)MiB or more, and at most (\d+) `lanes`/))
      let (budget, lanes) = (try #require(Int(named.1)), try #require(Int(named.2)))
      try await Run.open("\(path)/run", Liar(takes: 120 << 20), lanes: lanes, memory: .mebibytes(budget)).finish()
      #expect(ResidentMemory.peakBytes <= budget << 20)
      #expect(try StoredRun("\(path)/run").status == "finished")
    }
  }

  /// Memory that grows with every update is found while it grows, and what was done by then is kept.
  @Test func memoryThatGrowsStopsTheRunWithItsStatesStored() async throws {
    let folder = try TemporaryFolder()
    await #expect(processExitsWith: .success) { [path = folder.path as String] in
      let liar = Liar(grows: 1 << 17)
      func create(_ name: String, _ problem: Liar, _ memory: MemoryBudget?) throws -> Run<Liar> {
        try Run.create(
          at: "\(path)/\(name)", problem, orders: [.forward, .backward], steps: 60, observing: .every(20),
          budgets: Budgets(lanes: 2, memory: memory, checkpoints: CheckpointPolicy(every: 1000)))
      }
      // It loads what the process has not yet, so that the budget begins with all of it.
      try await create("free", Liar(), nil).finish()
      let run = try create("run", liar, .bytes(ResidentMemory.currentBytes + (22 << 20)))
      let progress = ReplayProgress()
      let words = await refusal { try await run.finish(progress: progress) }
      #expect(words.contains("was stopped") && words.contains("it took"), "\(words)")
      let (peak, budget) = (ResidentMemory.peakBytes, run.specification.budgets.memory?.bytes ?? 0)
      // Of what is expected in a process of its own only the words are told.
      #expect(peak <= budget, "\(peak) of \(budget) bytes: \(words)")
      let done = progress.gradientEvaluations
      #expect(done > 0, "no update")
      #expect(try StoredRun("\(path)/run").status == "interrupted")
      // The rest is trained by a problem that says the truth, and nothing that was done is done again.
      let result = try await Run.open("\(path)/run", Liar(), memory: .gibibytes(8)).finish()
      #expect(result.gradientEvaluations == result.predictedGradientEvaluations, "the plan")
      #expect(done + result.gradientEvaluations == 60 + 20 + 40 + 60, "\(done) and \(result.gradientEvaluations)")
      #expect(try digests("\(path)/run") == digests("\(path)/free"), "the digests")
    }
  }

  /// A control group with less room than the budget ends no run that grows: it is stopped before.
  @Test(.enabled(if: LimitedGroup.isPossible, "\(LimitedGroup.isMissing)"))
  func aRunInAGroupWithLessThanItsBudgetStopsBeforeTheKernelEndsIt() async throws {
    let folder = try TemporaryFolder()
    let group = try LimitedGroup(bytes: 160 << 20)
    defer { group.remove() }
    await #expect(processExitsWith: .success) { [path = folder.path as String, group = group.path as String] in
      try LimitedGroup.join(group)
      let run = try Run.create(
        at: "\(path)/run", Liar(grows: 1 << 20), orders: [.forward], steps: 400, observing: .every(100),
        budgets: Budgets(lanes: 1, memory: .bytes(ResidentMemory.currentBytes + (1 << 30))))
      let words = await refusal { try await run.finish() }
      #expect(words.contains("had the control group \(group) charged for"), "\(words)")
      #expect(try StoredRun("\(path)/run").status == "interrupted")
    }
  }
}

/// The words of the `RunError.impossible` that ends `body`; empty if it ends otherwise.
private func refusal<Value>(_ body: () async throws -> Value) async -> String {
  do {
    _ = try await body()
    Issue.record("it came to its end")
  } catch RunError.impossible(let words) {
    return words
  } catch {
    Issue.record("\(error)")
  }
  return ""
}

private func digests(_ run: String) throws -> [String: Digest] {
  Dictionary(uniqueKeysWithValues: try StoredRun(run).observations().map { ("\($0.series) \($0.seed) \($0.n)", $0.digest) })
}

/// A problem that says its workspaces take a MiB. They take more, from the beginning or with each update.
private struct Liar: UpdateMap, TrainingProblem {
  struct Workspace: ~Copyable {
    var blocks: [[UInt8]]
  }

  let stateCount = 1000
  var metrics: [Metric] { [Metric("mean")] }
  var workspaceBytes: Int { 1 << 20 }
  var takes = 1 << 18
  var grows = 0

  func makeWorkspace() -> Workspace { Workspace(blocks: [[UInt8](repeating: 1, count: takes)]) }

  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Workspace) {
    if grows > 0 {
      workspace.blocks.append([UInt8](repeating: 1, count: grows))
      // Slow enough that a busy machine does not keep the watch from its looks.
      usleep(50_000)
    }
    for index in 0..<stateCount { state[index] += 0.1 * (Float((batch * 31 + index) % 17) - state[index]) }
  }

  func writeInitialState(seed: Int, to state: inout StateBuffer) {}

  func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Workspace) -> [Double] { [Double(state.values[0])] }
}
