// Numbers from a table: a CSV file with gaps, mean squared error, and measures, one of them of one's own.
import Backtrail
import Foundation

/// The largest distance of a prediction from its target.
struct LargestError: Measure {
  let name = "testLargestError"

  func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double]) {
    for row in 0..<outputs.rows { sums[0] = max(sums[0], Double(abs(outputs[row: row][0] - targets.values[row]))) }
  }

  func value(_ sums: [Double], predictions: Int) -> Double { sums[0] }
}

/// Writes what a spring's swing measures at 400 times: some dampings were not noted.
func writeTable(to path: String) throws {
  let random = RandomSource(seed: 0, purpose: .synthesis)
  var lines = ["time,damping,height"]
  for row in 0..<400 {
    let time = 6 * random.uniform(batch: 2 * row)
    let damping = random.uniform(batch: 2 * row + 1)
    lines.append("\(time),\(row % 9 == 0 ? "" : "\(damping)"),\(exp(-damping * time) * cos(2 * time))")
  }
  try (lines.joined(separator: "\n") + "\n").write(toFile: path, atomically: true, encoding: .utf8)
}

let folder = CommandLine.arguments.dropFirst().first ?? "runs/regression"
let table = folder + ".csv"
try FileManager.default.createDirectory(
  at: URL(fileURLWithPath: table).deletingLastPathComponent(), withIntermediateDirectories: true)
try writeTable(to: table)

// A gap takes the mean of the training rows; without `missing=` it would be an error.
let data = try Dataset.load("csv:\(table),target=height,missing=mean", targets: .values)
let network = Network(input: data.exampleShape) { Dense(32); GELU(); Dense(32); GELU(); Dense(1) }
let loss = MeanSquaredError()
let problem = try NetworkProblem(
  network, loss: loss, data: data, batchSize: 16, optimizer: .adam(learningRate: 3e-3),
  evaluation: .init(measures: loss.defaultMeasures + [LargestError()]))

let run: Run<NetworkProblem>
do {
  run = try .create(
    at: folder, problem, orders: [.forward, .tail(20)], steps: 2000, observing: .every(100), averages: [.polynomial(8)])
} catch StorageError.exists {
  run = try .open(folder, problem)
}
// Means over the last quarter of the run.
for series in try await run.finish().summary { print("\(series.name): \(series.measurements?.description ?? "diverged")") }
