import Backtrail
import Foundation
import Replay
import Tensors

/// A small run as `train` does it, from its folder's making to the last row of its database, on one lane; beside it as many
/// of its updates alone. What lies between is planning, observing, averaging, storing.
func registerRuns() {
  measure("run: digits, forward and backward and tail") {
    try RunWork()
  } prepare: { work in
    work.clear()
  } body: { work in
    try await work.train()
  }
  measure("run: digits, its updates alone") {
    try RunWork()
  } body: { work in
    try work.update()
  }
}

private final class RunWork {
  private let specification: RunSpecification<NetworkProblem>
  private let folder: ScratchFolder
  /// Gradient evaluations of the whole run.
  private let updateCount: Int

  init() throws {
    var settings = RunSettings()
    settings.model = "mlp:128"
    settings.orders = ["forward", "backward", "tail:50"]
    settings.steps = 600
    settings.evaluate = "every:30"
    settings.lanes = 1
    specification = try RunSpecification(RunConfiguration(settings))
    folder = try ScratchFolder()
    updateCount = try specification.plan().gradientEvaluations
  }

  func clear() { try? FileManager.default.removeItem(atPath: folder("run")) }

  func train() async throws {
    let result = try await NetworkRun.create(at: folder("run"), specification).finish()
    guard result.gradientEvaluations == updateCount else {
      throw Meaningless(description: "\(result.gradientEvaluations) gradient evaluations, not \(updateCount)")
    }
  }

  /// Down the batches of the run, again and again.
  func update() throws {
    let map = specification.problem.map(seed: 0)
    var state = try StateBuffer(count: map.stateCount)
    try specification.problem.writeInitialState(seed: 0, to: &state)
    var workspace = try map.makeWorkspace()
    let steps = specification.workload.steps
    for position in 0..<updateCount {
      try map.apply(batch: steps - position % steps, position: position, to: &state, workspace: &workspace)
    }
  }
}
