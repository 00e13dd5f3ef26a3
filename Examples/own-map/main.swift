// An update map of three floats, without a network, in a folder that keeps it: killed and started again, it goes on.
import Backtrail

/// A parabola a + bx + cx² through noisy points of 1 − 2x + 3x², by SGD with one point a batch.
struct Parabola: UpdateMap, TrainingProblem {
  let stateCount = 3
  let metrics = [Metric("squaredError")]
  var seed = 0

  func map(seed: Int) -> Parabola { Parabola(seed: seed) }

  func writeInitialState(seed: Int, to state: inout StateBuffer) { state[0] = Float(seed) }

  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    let x = Float(2 * random(.sampling, batch) - 1)
    let y = 1 - 2 * x + 3 * x * x + Float(random(.synthesis, batch) - 0.5)
    let error = state[0] + state[1] * x + state[2] * x * x - y
    for (index, feature) in [1, x, x * x].enumerated() { state[index] -= 0.1 * error * feature }
  }

  func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] {
    let (a, b, c) = (state.values[0] - 1, state.values[1] + 2, state.values[2] - 3)
    return [Double(a * a + b * b + c * c)]
  }

  /// Between 0 and 1, a function of seed and batch alone.
  private func random(_ purpose: RandomSource.Purpose, _ batch: Int) -> Double {
    RandomSource(seed: UInt64(seed), purpose: purpose).uniform(batch: batch)
  }
}

let folder = CommandLine.arguments.dropFirst().first ?? "runs/own-map"
let run: Run<Parabola>
do {
  run = try .create(at: folder, Parabola(), orders: [.forward, .backward], steps: 500, observing: .every(50), seeds: 0..<2)
} catch StorageError.exists { run = try .open(folder, Parabola()) }
for try await observation in run.train() { print(observation) }
