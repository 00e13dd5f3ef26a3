import Networks
import Replay
import Runs

/// Brings iterates of a run back, with what they predict of the test examples.
final class Recalls {
  struct Point {
    let state: StoredState
    let predictions: [Float]
  }

  private let run: NetworkRun
  private let seed: Int
  private let map: NetworkUpdateMap
  /// The largest number of evaluation batches.
  private let batches: Int
  private let progress: ReplayProgress
  private(set) var gradientEvaluations = 0

  /// - Parameter examples: The number of test examples, rounded up to whole evaluation batches; nil for all that the run evaluates.
  init(_ run: NetworkRun, seed: Int, replica: Int, examples: Int?, progress: ReplayProgress) {
    self.run = run
    self.seed = seed
    map = run.specification.maps[replica]
    let evaluator = map.evaluator
    batches = examples.map { $0 < evaluator.count ? ($0 * evaluator.partCount + evaluator.count - 1) / evaluator.count : .max } ?? .max
    self.progress = progress
  }

  func iterate(_ order: CompositionOrder, _ n: Int) async throws -> Point {
    let recalled = try await run.recalledState(order, n, seed: seed, progress: progress)
    gradientEvaluations += recalled.gradientEvaluations
    var workspace = try map.makeWorkspace()
    let predictions = try recalled.state.read { state throws in
      try map.predictions(state.values, workspace: &workspace, limit: batches)
    }
    return Point(state: recalled.state, predictions: predictions)
  }

  /// The distances of two iterates: of their parameters and buffers, and of their predictions.
  func distance(_ a: Point, _ b: Point) throws -> (parameters: Double, function: Double) {
    let parameters = try Backtrail.distance(a.state, b.state, length: run.problem.layout.count)
    return (parameters, rootMeanSquare(a.predictions, b.predictions, width: map.network.outputCount))
  }

  /// The distance of what two states predict.
  var functionDistance: @Sendable (borrowing StateBuffer, borrowing StateBuffer, inout NetworkUpdateMap.Workspace) throws -> Double {
    { [map, batches] a, b, workspace in
      let predicted = try map.predictions(a, workspace: &workspace, limit: batches)
      return rootMeanSquare(
        predicted, try map.predictions(b, workspace: &workspace, limit: batches), width: map.network.outputCount)
    }
  }

  func predictionCount(of point: Point) -> Int { point.predictions.count / max(1, map.network.outputCount) }
}

extension NetworkUpdateMap {
  /// What the network predicts of the test examples, one prediction after the other.
  fileprivate func predictions(_ state: borrowing StateBuffer, workspace: inout Workspace, limit: Int) throws -> [Float] {
    let collector = PredictionCollector(network.loss.targetKind)
    _ = try evaluate(state, workspace: &workspace, limit: limit, by: [collector])
    return collector.predictions
  }
}
