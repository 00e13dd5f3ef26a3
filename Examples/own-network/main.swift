// A network, a loss and data of one's own. Kill it at any instant and start it again: it ends with the same bits.
import Backtrail
import Foundation

/// log cosh(x − t): half the squared error near the target, the distance far from it.
struct LogCosh: ElementwiseLoss {
  func value(_ output: Double, target: Double) -> Double { abs(output - target) + log1p(exp(-2 * abs(output - target))) - log(2) }
  func slope(_ output: Float, target: Float) -> Float { tanh(output - target) }
}

/// Images of 8 × 8 with a spot each; the target is how far the spot is from the middle.
func spots(count: Int) throws -> Dataset {
  let random = RandomSource(seed: 0, purpose: .synthesis)
  var (images, distances): ([Float], [Float]) = ([], [])
  for spot in 0..<count {
    let (x, y) = (8 * random.uniform(batch: 2 * spot), 8 * random.uniform(batch: 2 * spot + 1))
    for row in 0..<8 {
      for column in 0..<8 {
        let (dx, dy) = (Double(column) + 0.5 - x, Double(row) + 0.5 - y)
        images.append(Float(exp(-(dx * dx + dy * dy) / 2)))
      }
    }
    distances.append(Float(hypot(x - 4, y - 4)))
  }
  return try Dataset(name: "spots", inputs: images, shape: [8, 8, 1], values: distances)
}

let folder = CommandLine.arguments.dropFirst().first ?? "runs/own-network"
let network = Network(input: [8, 8, 1]) { Dense(32); ReLU(); Dense(1) }
let problem = try NetworkProblem(
  network, loss: LogCosh(), data: spots(count: 5000), batchSize: 32, optimizer: .adamW(learningRate: 1e-3))

let run: Run<NetworkProblem>
do {
  run = try .create(
    at: folder, problem, orders: [.forward, .backward, .tail(50)], steps: 1000, observing: .every(20), seeds: 0..<3,
    budgets: Budgets(memory: .mebibytes(400)))
} catch StorageError.exists {
  run = try .open(folder, problem)
}
for try await observation in run.train(lanes: 2) { print(observation) }

// Any iterate of any order, observed or not, at any time later.
let iterate = try await Run.open(folder, problem).iterate(.backward, 400)
print("backward's iterate 400: \(iterate.measurements), \(iterate.gradientEvaluations) updates replayed")
for tensor in try iterate.tensors { print("  \(tensor.name) \(tensor.shape)") }
