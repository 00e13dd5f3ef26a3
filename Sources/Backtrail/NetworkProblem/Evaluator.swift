import Runs
import Datasets
import Networks
import Replay
import Tensors

/// Measures a network on test examples, in batches of a fixed size and order.
///
/// Examples go through the network in parts, as many at once as make it fast in the memory there is, whatever the batches. No row of a
/// network's outputs depends on the others, and measures are given all rows in their order and told where batches end, so that no bit
/// depends on the parts. With products by OpenBLAS, which does not promise that for rows, the parts follow from the sizes of batches
/// alone.
public struct Evaluator: Sendable {
  /// The network, compiled for the largest part.
  let network: CompiledNetwork
  /// The measures, in the order of the values.
  public let measures: [any Measure]
  private let examples: Examples
  /// The indices of the evaluated examples.
  private let indices: [Int]
  /// The number of examples in a batch.
  private let batchSize: Int
  /// The indices again, part by part.
  private let parts: [[Int]]
  /// The number of training batches over which running statistics are computed anew before an evaluation; 0 for those
  /// of the state.
  let recalibrationBatches: Int

  /// - Parameters:
  ///   - network: The network, compiled in any way.
  ///   - measures: At least one measure; nil for the default measures of the network's loss.
  ///   - batchSize: The number of examples whose losses are added up before they are added to the sum over all
  ///     batches.
  ///   - count: The largest number of examples; nil for all. The chosen examples are the same for every run and seed.
  ///   - arenaCount: The length in floats of the arena that updates have. A single example takes what it needs.
  ///   - isRoomy: Whether a part may take more than that if it makes evaluations faster.
  init(
    _ network: CompiledNetwork, measures: [any Measure]? = nil, examples: Examples, batchSize: Int, count: Int?,
    recalibrationBatches: Int, arenaCount: Int, isRoomy: Bool
  ) throws {
    try self.init(
      network, measures: measures ?? network.loss.defaultMeasures, examples: examples,
      indices: try examples.evaluationIndices(atMost: count), batchSize: batchSize,
      recalibrationBatches: recalibrationBatches, arenaCount: arenaCount, isRoomy: isRoomy)
  }

  private init(
    _ network: CompiledNetwork, measures: [any Measure], examples: Examples, indices: [Int], batchSize: Int,
    recalibrationBatches: Int, arenaCount: Int, isRoomy: Bool
  ) throws(NetworkError) {
    let network = try Self.network(
      network, rows: min(batchSize, indices.count), most: indices.count,
      arenaCount: isRoomy ? max(arenaCount, Self.fastArenaCount) : arenaCount)
    self.network = network
    self.measures = measures
    self.examples = examples
    self.indices = indices
    self.batchSize = batchSize
    self.recalibrationBatches = recalibrationBatches
    parts = stride(from: 0, to: indices.count, by: network.batchSize).map {
      Array(indices[$0..<min($0 + network.batchSize, indices.count)])
    }
  }

  /// So many rows at once make small networks as fast as more would.
  private static let fastRows = 128
  /// The longest arena for more rows than a batch has, in floats: it stays in a processor's second cache.
  private static let fastArenaCount = 1 << 17

  /// The network for the rows of a batch, or for more that are faster, as far as they fit in an arena.
  private static func network(
    _ network: CompiledNetwork, rows: Int, most: Int, arenaCount: Int
  ) throws(NetworkError) -> CompiledNetwork {
    let batch = try network.forEvaluation(rows: rows, arenaCount: arenaCount)
    guard network.products.library == .builtin else { return batch }
    let fast = try network.forEvaluation(rows: min(fastRows, most), arenaCount: min(arenaCount, fastArenaCount))
    return fast.batchSize > batch.batchSize ? fast : batch
  }

  /// The same evaluator for an arena of another length, in floats. It gives the same bits.
  /// - Parameter isRoomy: Whether it may take more than that if it makes evaluations faster.
  func fitted(arenaCount: Int, isRoomy: Bool = false) throws(NetworkError) -> Evaluator {
    try Evaluator(
      network, measures: measures, examples: examples, indices: indices, batchSize: batchSize,
      recalibrationBatches: recalibrationBatches, arenaCount: arenaCount, isRoomy: isRoomy)
  }

  /// The same evaluator for running statistics as a state has them.
  func withoutRecalibration() throws(NetworkError) -> Evaluator {
    try Evaluator(
      network, measures: measures, examples: examples, indices: indices, batchSize: batchSize, recalibrationBatches: 0,
      arenaCount: network.arenaCount, isRoomy: false)
  }

  /// The number of evaluated examples.
  var count: Int { indices.count }

  var partCount: Int { parts.count }

  /// - Parameters:
  ///   - workspace: A workspace with room for `network`.
  ///   - limit: The largest number of parts. The evaluator's own values then mean nothing, but times do.
  ///   - others: Measures instead of the evaluator's; nil for its own.
  /// - Returns: The values of the measures, in their order.
  func evaluate(
    _ state: borrowing StateBuffer, workspace: inout CompiledNetwork.Workspace, limit: Int = .max, by others: [any Measure]? = nil
  ) throws -> [Double] {
    network.take(&workspace)
    var measurement = Measurement(others ?? measures, outputs: network.outputCount)
    for (index, part) in parts.prefix(limit).enumerated() {
      try examples.gather(part, into: workspace.inputs(rows: part.count), targets: &workspace.targets)
      try network.evaluate(
        state, rows: part.count, from: index * network.batchSize, ofBatches: batchSize, workspace: &workspace, into: &measurement)
    }
    if !count.isMultiple(of: batchSize) { measurement.endBatch() }
    return measurement.values
  }
}

extension CompiledNetwork {
  /// Checks that the network's loss can compare its predictions with the targets of `dataset`.
  /// - Parameters:
  ///   - dataset: the examples the network is trained and measured on.
  ///   - measures: what iterates are measured by besides.
  /// - Throws: `NetworkError.shape`, naming what does not fit together.
  public func check(targetsOf dataset: Dataset, measures: [any Measure] = []) throws(NetworkError) {
    guard dataset.targetKind == loss.targetKind else {
      throw .shape(
        "the loss compares with \(loss.targetKind.rawValue), but the targets of \(dataset.name) are \(dataset.targetKind.rawValue)")
    }
    for measure in measures {
      guard let kind = measure.targetKind, kind != dataset.targetKind else { continue }
      throw .shape("\(measure.name) compares with \(kind.rawValue), but the targets of \(dataset.name) are \(dataset.targetKind.rawValue)")
    }
    // A single target has the shape [], [1] or [1, 1].
    guard targetShape.filter({ $0 != 1 }) == dataset.targetShape.filter({ $0 != 1 }) else {
      throw .shape(
        """
        the network's output of shape \(outputShape) is compared with targets of shape \(targetShape), but those of \
        \(dataset.name) have the shape \(dataset.targetShape)
        """)
    }
    if let classCount = dataset.classCount, classCount != outputCount {
      throw .shape(
        "the network gives \(outputCount) logits a prediction, but \(dataset.name) has \(classCount) classes; end it with as many")
    }
    let range = loss.targetRange
    for examples in [dataset.training, dataset.test] {
      if let value = examples.value(outside: range) {
        throw .shape("the loss takes targets from \(range.lowerBound) to \(range.upperBound), but \(dataset.name) has \(value)")
      }
    }
  }
}
