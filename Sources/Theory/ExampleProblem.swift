import Foundation
import Replay
import Runs
import Tensors

/// A training problem that is its own update map, of batches that are functions of their seed and number.
package protocol SeededProblem: TrainingProblem, UpdateMap where Map == Self {
  var seed: Int { get set }
}

extension SeededProblem {
  package func map(seed: Int) -> Self {
    var map = self
    map.seed = seed
    return map
  }
}

/// A training problem of a few floats about which theory predicts something.
package protocol ExampleProblem: SeededProblem {
  /// The update in a formula.
  static var formula: String { get }
  static var usualLearningRate: Double { get }
  /// The largest learning rate for which the predictions hold.
  static var largestLearningRate: Double { get }

  init(learningRate: Float) throws

  /// The factor by which an update brings two states nearer to each other in the long run, below 1.
  var contraction: Double { get }

  /// The number of updates after which two states are this fraction of their distance apart; by default what the contraction gives.
  func steps(toReach fraction: Double) -> Int

  /// What the numbers mean, in sentences.
  var notes: [String] { get }

  /// Replays what the predictions are about, and returns them beside what was measured.
  func claims(_ laboratory: Laboratory) async throws -> [Claim]
}

extension ExampleProblem {
  package func steps(toReach fraction: Double) -> Int { max(2, Int((log(fraction) / log(contraction)).rounded(.up))) }

  /// Two n between which backward's distance to its limit falls from half of what it was to a thousandth, far above rounding errors
  /// and far from the last iterate, which stands for the limit.
  package var rateWindow: (first: Int, last: Int) {
    let first = steps(toReach: 0.5)
    return (first, max(first + 1, steps(toReach: 1e-3)))
  }
}

/// Where examples are replayed: in memory, with the engine that trains runs.
package final class Laboratory {
  package let seeds: Range<Int>
  /// N, the last n.
  package let steps: Int
  private let lanes: Int
  private let progress: ReplayProgress
  package private(set) var gradientEvaluations = 0
  /// What was noticed on the way, in sentences.
  package private(set) var notes: [String] = []

  package init(seeds: Range<Int>, steps: Int, lanes: Int, progress: ReplayProgress) {
    self.seeds = seeds
    self.steps = steps
    self.lanes = lanes
    self.progress = progress
  }

  package func note(_ sentence: String) { notes.append(sentence) }

  /// Replays iterates of a problem for all seeds and measures each.
  /// - Parameter iterates: The n of each order.
  package func sample<Problem: TrainingProblem>(_ problem: Problem, _ iterates: [(order: CompositionOrder, n: [Int])]) async throws -> SeedSample {
    let workload = try Workload(
      orders: iterates.map { ObservedOrder($0.order, observing: .at($0.n)) }, steps: steps, observing: .every(steps), seeds: seeds)
    let specification = try RunSpecification(problem, workload, budgets: Budgets(lanes: lanes))
    let plan = try specification.plan()
    let observer = SampleObserver(specification: specification)
    let engine = ReplayEngine(maps: specification.maps, initialStates: try specification.replayStarts(), observer: observer)
    gradientEvaluations += try await engine.run(plan, lanes: lanes, progress: progress).gradientEvaluations
    return observer.sample
  }
}

/// The metrics of some iterates, for all seeds.
package struct SeedSample: Sendable {
  private let orders: [CompositionOrder]
  private let points: [[Int]]
  private let metricCount: Int
  /// For each order and each of its n: seed by seed, the values of all metrics.
  fileprivate var values: [[[Double]]]

  fileprivate init(orders: [CompositionOrder], points: [[Int]], seeds: Int, metricCount: Int) {
    self.orders = orders
    self.points = points
    self.metricCount = metricCount
    values = points.map { Array(repeating: Array(repeating: .nan, count: seeds * metricCount), count: $0.count) }
  }

  fileprivate mutating func set(_ measured: [Double], order: Int, n: Int, replica: Int) {
    guard let place = points[order].firstIndex(of: n) else { return }
    for (metric, value) in measured.enumerated() { values[order][place][replica * metricCount + metric] = value }
  }

  /// The values of one metric of an iterate, seed by seed.
  /// - Precondition: The iterate is among those sampled.
  package func values(_ metric: Int, of order: CompositionOrder, _ n: Int) -> [Double] {
    guard let row = orders.firstIndex(of: order), let place = points[row].firstIndex(of: n) else {
      preconditionFailure("iterate \(n) of \(order) was not sampled")
    }
    let all = values[row][place]
    return stride(from: metric, to: all.count, by: metricCount).map { all[$0] }
  }

  /// The squared distances between two iterates, over metrics that are coordinates, seed by seed.
  /// - Parameter other: The sample of the second iterate; nil for this one.
  package func squaredDistances(
    of order: CompositionOrder, _ n: Int, to m: Int, in other: SeedSample? = nil, over coordinates: Range<Int>
  ) -> [Double] {
    coordinates.reduce(into: [Double]()) { sums, coordinate in
      let squares = zip(values(coordinate, of: order, n), (other ?? self).values(coordinate, of: order, m)).map { ($0 - $1) * ($0 - $1) }
      sums = sums.isEmpty ? squares : zip(sums, squares).map(+)
    }
  }
}

/// Collects what is measured.
private final class SampleObserver<Problem: TrainingProblem>: IterateObserver {
  private let specification: RunSpecification<Problem>
  private let collected: Lock<SeedSample>

  package init(specification: RunSpecification<Problem>) {
    self.specification = specification
    let selection = specification.selection
    collected = Lock(
      SeedSample(
        orders: selection.orders, points: selection.points, seeds: specification.workload.seeds.count,
        metricCount: specification.problem.metrics.count))
  }

  package var sample: SeedSample { collected.withLock { $0 } }

  package func observe(
    _ iterates: [Iterate], replica: Int, state: borrowing TrainingState, workspace: inout Problem.Map.Workspace
  ) throws {
    let seed = specification.workload.seeds.lowerBound + replica
    let values = try specification.problem.measure(state, seed: seed, workspace: &workspace)
    collected.withLock { sample in
      for iterate in iterates { sample.set(values, order: iterate.order, n: iterate.n, replica: replica) }
    }
  }
}
