import Datasets
import Foundation
import Replay
import Storage

/// Another way to spend the same examples, to hold orders against: forward SGD that is quieter for a reason of its own.
public enum Baseline: Hashable, Sendable {
  /// The learning rate falls to zero along half a cosine.
  case cosine
  /// Batches `size` times as large and so many times fewer, the learning rate times `rate`.
  case largerBatch(size: Int, rate: Double)

  public static let forms = "cosine, batch:K[:FACTOR] (batches K times as large, η times FACTOR; default K)"

  /// Reads `cosine`, `batch:8` or `batch:8:2.83`.
  public init(_ specification: String) throws(RunError) {
    let parts = specification.split(separator: ":", omittingEmptySubsequences: false)
    if parts == ["cosine"] {
      self = .cosine
    } else if parts.first == "batch", (2...3).contains(parts.count), let size = Int(parts[1]), (2...10_000).contains(size),
      let rate = parts.count == 3 ? Double(parts[2]) : Double(size), rate > 0, rate.isFinite
    {
      self = .largerBatch(size: size, rate: rate)
    } else {
      throw .usage("no baseline is called '\(specification)'; there are \(Self.forms)")
    }
  }

  /// Updates of the compared runs for one of its own.
  var stretch: Int {
    if case .largerBatch(let size, _) = self { size } else { 1 }
  }

  /// - Throws: why the run can't be trained beside `compared`.
  public func check(_ compared: Experiment) throws {
    let changed = try configuration(compared.configuration, points: [])
    _ = try BatchSampler(
      method: .shuffle, seed: 0, exampleCount: compared.dataset.training.count, batchSize: changed.batchSize ?? compared.batchSize)
  }

  /// The compared run's configuration with what the baseline changes, observed at the same numbers of examples.
  /// - Parameter points: the compared run's observed n.
  func configuration(_ compared: RunConfiguration, points: [Int]) throws(RunError) -> RunConfiguration {
    var changed = compared
    changed.orders = [CompositionOrder.forward.description]
    changed.averages = []
    changed.checkpointEvery = 0
    (changed.costBudget, changed.diskBudget) = (nil, nil)
    switch self {
    case .cosine:
      guard compared.schedule == "constant" else {
        throw .impossible("the baseline cosine needs a constant learning rate to change, but `schedule` is \(compared.schedule)")
      }
      changed.schedule = "cosine"
    case .largerBatch(let size, let rate):
      guard filePath(in: compared.sampler) == nil else {
        throw .impossible("the baseline \(self) draws batches of its own, but `sampler` \(compared.sampler) holds given ones")
      }
      guard compared.steps >= size else {
        throw .impossible("the baseline \(self) makes \(size) batches one, but the run has \(compared.steps)")
      }
      changed.batchSize = compared.batchSize.map { $0 * size }
      changed.learningRate *= rate
      changed.steps = compared.steps / size
      changed.scheduleSteps = max(1, compared.scheduleSteps / size)
      changed.warmUp /= size
    }
    let own = Set(points.filter { $0 % stretch == 0 }.map { $0 / stretch } + [changed.steps]).sorted()
    changed.evaluate = EvaluationSchedule.at(own).description
    return changed
  }
}

extension Baseline: CustomStringConvertible {
  public var description: String {
    switch self {
    case .cosine: "cosine"
    case .largerBatch(let size, let rate): rate == Double(size) ? "batch:\(size)" : "batch:\(size):\(rate)"
    }
  }

  /// As a series beside orders.
  public var name: String {
    switch self {
    case .cosine: "forward, cosine"
    case .largerBatch(let size, let rate): "forward, batch × \(size), η × \(String(format: "%g", rate))"
    }
  }
}

/// What a baseline came to.
public struct BaselineResult: Sendable {
  public let baseline: Baseline
  /// A seed each, n counted in the compared run's batches: the same n has seen as many examples.
  public let series: [RunResult.Series]
  public let summary: SeriesSummary
}

extension TrainingRun {
  /// Trains a baseline of this run, with its seeds and data, in the run's folder; one that was trained before is read.
  public func train(
    _ baseline: Baseline, progress: ReplayProgress = ReplayProgress(), listener: Listener = Listener()
  ) async throws -> BaselineResult {
    let points = zip(experiment.orders, experiment.points).first { $0.0 == .forward }?.1 ?? experiment.points[0]
    let configuration = try baseline.configuration(experiment.configuration, points: points)
    let path = folder.baselinesPath + "/" + baseline.description.replacing(":", with: "-")
    let lock = try RunLock(folder)
    defer { lock.hold() }
    // A memory budget may have led to fewer lanes, which change nothing.
    if let stored = try? StoredRun(path), stored.configuration.with(lanes: configuration.lanes) == configuration,
      let result = try stored.wholeResult()
    {
      return BaselineResult(baseline, result)
    }
    try? FileManager.default.removeItem(atPath: path)
    let own = try Experiment(configuration, initial: experiment.initialTensors, dataset: experiment.dataset)
    return BaselineResult(baseline, try await TrainingRun.create(own, at: path).train(progress: progress, listener: listener))
  }
}

extension StoredRun {
  /// The baselines that were trained beside this run and have finished.
  public var baselines: [BaselineResult] {
    StoredRun.list(in: RunFolder(path: run).baselinesPath).compactMap { stored in
      let name = URL(fileURLWithPath: stored.run).lastPathComponent
      guard let baseline = try? Baseline(name.replacing("-", with: ":")), let result = try? stored.wholeResult() else { return nil }
      return BaselineResult(baseline, result)
    }
  }
}

extension StoredRun {
  /// With its iterates; nil until the run has finished.
  fileprivate func wholeResult() throws -> RunResult? { try result?.with(ObservedIterates(database: database())) }
}

extension BaselineResult {
  init(_ baseline: Baseline, _ result: RunResult) {
    let series = result.orders.map { series in
      RunResult.Series(
        order: baseline.name, seed: series.seed, gradientEvaluations: series.gradientEvaluations,
        iterates: series.iterates.map {
          RunResult.Iterate(
            n: $0.n * baseline.stretch, testLoss: $0.testLoss, testAccuracy: $0.testAccuracy, digest: $0.digest)
        })
    }
    let last = series.compactMap(\.iterates.last?.n).max() ?? 1
    let figures = series.map { series in
      var figures = CurveFigures(last: last)
      for iterate in series.iterates { figures.add(iterate) }
      return figures
    }
    self.init(
      baseline: baseline, series: series,
      summary: SeriesSummary(
        baseline.name, seeds: figures, gradientEvaluations: series.first?.gradientEvaluations ?? 0,
        secondsPerUpdate: result.secondsPerUpdate ?? 0,
        secondsPerObservation: result.secondsPerObservation ?? 0))
  }
}

extension RunConfiguration {
  fileprivate func with(lanes: Int) -> RunConfiguration {
    var copy = self
    copy.lanes = lanes
    return copy
  }
}
