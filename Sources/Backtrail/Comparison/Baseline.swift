import Runs
import Datasets
import Foundation
import Replay

/// Another way to use the same examples, for comparison with orders: forward SGD that is made quieter by other means.
public enum Baseline: Hashable, Sendable {
  /// The learning rate falls to zero along half a cosine.
  case cosine
  /// Batches are `size` times as large and there are `size` times fewer of them; the learning rate is multiplied by
  /// `rate`.
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

  /// The number of updates of the compared run for each update of the baseline.
  var stretch: Int {
    if case .largerBatch(let size, _) = self { size } else { 1 }
  }

  /// - Throws: An error if the baseline can't be trained beside the `compared` run.
  public func check(_ compared: RunSpecification<NetworkProblem>, _ configuration: RunConfiguration) throws {
    let changed = try self.configuration(configuration, points: [])
    _ = try BatchSampler(
      method: .shuffle, seed: 0, exampleCount: compared.problem.dataset.training.count,
      batchSize: changed.batchSize ?? compared.problem.batchSize)
  }

  /// The compared run's configuration with the baseline's changes, observed after the same numbers of examples.
  /// - Parameter points: The observed n of the compared run.
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
      guard OrderFile.path(in: compared.sampler) == nil else {
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

  /// The name of the baseline in tables and charts beside orders.
  public var name: String {
    switch self {
    case .cosine: "forward, cosine"
    case .largerBatch(let size, let rate): "forward, batch × \(size), η × \(String(format: "%g", rate))"
    }
  }
}

/// The result of a baseline.
public struct BaselineResult: Sendable {
  public let baseline: Baseline
  /// One curve per seed, with n counted in the compared run's batches: at the same n, both have used equally many
  /// examples.
  public let curves: [RunResult.Curve]
  public let summary: SeriesSummary
}

extension Run where Problem == NetworkProblem {
  /// Trains a baseline of this run, with its seeds and data, in the run's folder. If it was trained before, its
  /// result is read.
  public func train(
    _ baseline: Baseline, progress: ReplayProgress = ReplayProgress(), listener: TrainingListener = TrainingListener()
  ) async throws -> BaselineResult {
    let selection = specification.selection
    let configuration = try baseline.configuration(configuration, points: selection.points(of: .forward) ?? selection.points[0])
    let path = "\(folder.baselinesPath)/\(baseline.folderName)"
    let lock = try RunLock(folder)
    defer { lock.hold() }
    // A memory budget may have led to fewer lanes, which does not change the results.
    if let stored = try? StoredRun(path), stored.configuration?.with(lanes: configuration.lanes) == configuration,
      let result = try stored.wholeResult()
    {
      return BaselineResult(baseline, result)
    }
    try? FileManager.default.removeItem(atPath: path)
    // The batches come from the run's journal, in case their original file has changed.
    var batches: ImportedBatches?
    if case .imported(let imported) = problem.sampling { batches = imported }
    let own = try RunSpecification(
      configuration, initial: problem.initial, batches: batches, dataset: problem.dataset, orderTexts: workload.orderTexts)
    let run = try NetworkRun.create(at: path, own)
    return BaselineResult(baseline, try await run.finish(progress: progress, listener: listener))
  }
}

extension Baseline {
  /// The name of the folder of the baseline's run, without colons, which are awkward in file names.
  var folderName: String { description.replacing(":", with: "-") }

  /// Reads the form of `folderName`. The exponent of a number may contain a dash of its own.
  init?(folderName: String) {
    let parts = folderName.split(separator: "-", maxSplits: 2, omittingEmptySubsequences: false)
    guard let baseline = try? Baseline(parts.joined(separator: ":")) else { return nil }
    self = baseline
  }
}

extension StoredRun {
  /// The finished baselines that were trained beside this run.
  public var baselines: [BaselineResult] {
    StoredRun.list(in: RunFolder(path: run).baselinesPath).compactMap { stored in
      let name = URL(fileURLWithPath: stored.run).lastPathComponent
      guard let baseline = Baseline(folderName: name), let result = try? stored.wholeResult() else { return nil }
      return BaselineResult(baseline, result)
    }
  }
}

extension StoredRun {
  /// The result with its iterates; nil until the run has finished.
  fileprivate func wholeResult() throws -> RunResult? { try result?.with(ObservedIterates(database: database())) }
}

extension BaselineResult {
  init(_ baseline: Baseline, _ result: RunResult) {
    // Iterates are counted in the compared run's batches.
    let curves = result.orders.map { $0.stretched(by: baseline.stretch) }
    let last = curves.compactMap(\.iterates.last?.n).max() ?? 1
    let metrics = curves.lazy.compactMap(\.iterates.first?.measurements.metrics).first ?? []
    let figures = curves.filter(\.diverged.isEmpty).map { curve in
      var figures = CurveFigures(last: last, metricCount: metrics.count)
      for iterate in curve.iterates { figures.add(iterate) }
      return figures
    }
    self.init(
      baseline: baseline, curves: curves,
      summary: SeriesSummary(
        baseline.name, seeds: figures, diverged: curves.compactMap { curve in curve.diverged.first.map { SeedDivergence(seed: curve.seed, n: $0) } },
        metrics: metrics, gradientEvaluations: curves.first?.gradientEvaluations ?? 0,
        secondsPerUpdate: result.secondsPerUpdate ?? 0, secondsPerObservation: result.secondsPerObservation ?? 0))
  }

  public var observed: ObservedSeries { 
    ObservedSeries(
      name: summary.name, seeds: curves.map(\.iterates).filter { !$0.isEmpty },
      diverged: Dictionary(uniqueKeysWithValues: curves.map { ($0.seed, $0.diverged) }).filter { !$0.value.isEmpty })
  }
}

extension RunConfiguration {
  fileprivate func with(lanes: Int) -> RunConfiguration {
    var copy = self
    copy.lanes = lanes
    return copy
  }
}
