import Runs
import Datasets
import Networks
import Replay
import Tensors

/// Measures a network on test examples, in batches of a fixed size and order.
///
/// A batch goes through the network whole, or in parts where its activations would need more memory than an update. No
/// row of a network's outputs depends on the others, and measures are given all rows in their order, so that no bit depends
/// on the parts. With products by OpenBLAS, which does not promise that, the parts follow from the sizes of batches alone.
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
  /// The indices again, batch by batch and part by part.
  private let batches: [[[Int]]]
  /// The number of training batches over which running statistics are computed anew before an evaluation; 0 for those
  /// of the state.
  let recalibrationBatches: Int

  /// - Parameters:
  ///   - network: The network, compiled in any way.
  ///   - measures: At least one measure; nil for the default measures of the network's loss.
  ///   - batchSize: The number of examples whose losses are added up before they are added to the sum over all
  ///     batches.
  ///   - count: The largest number of examples; nil for all. The chosen examples are the same for every run and seed.
  ///   - arenaCount: The length in floats of the arena that there is for a part. A single example takes what it needs.
  init(
    _ network: CompiledNetwork, measures: [any Measure]? = nil, examples: Examples, batchSize: Int, count: Int?,
    recalibrationBatches: Int, arenaCount: Int
  ) throws {
    try self.init(
      network, measures: measures ?? network.loss.defaultMeasures, examples: examples,
      indices: try examples.evaluationIndices(atMost: count), batchSize: batchSize,
      recalibrationBatches: recalibrationBatches, arenaCount: arenaCount)
  }

  private init(
    _ network: CompiledNetwork, measures: [any Measure], examples: Examples, indices: [Int], batchSize: Int,
    recalibrationBatches: Int, arenaCount: Int
  ) throws(NetworkError) {
    let network = try network.forEvaluation(rows: min(batchSize, indices.count), arenaCount: arenaCount)
    self.network = network
    self.measures = measures
    self.examples = examples
    self.indices = indices
    self.batchSize = batchSize
    self.recalibrationBatches = recalibrationBatches
    func parts(_ indices: ArraySlice<Int>, of size: Int) -> [ArraySlice<Int>] {
      stride(from: indices.startIndex, to: indices.endIndex, by: size).map {
        indices[$0..<min($0 + size, indices.endIndex)]
      }
    }
    batches = parts(indices[...], of: batchSize).map { parts($0, of: network.batchSize).map(Array.init) }
  }

  /// The same evaluator for an arena of another length, in floats. It gives the same bits.
  func fitted(arenaCount: Int) throws(NetworkError) -> Evaluator {
    try Evaluator(
      network, measures: measures, examples: examples, indices: indices, batchSize: batchSize,
      recalibrationBatches: recalibrationBatches, arenaCount: arenaCount)
  }

  /// The same evaluator for running statistics as a state has them.
  func withoutRecalibration() throws(NetworkError) -> Evaluator {
    try Evaluator(
      network, measures: measures, examples: examples, indices: indices, batchSize: batchSize, recalibrationBatches: 0,
      arenaCount: network.arenaCount)
  }

  /// The number of evaluated examples.
  var count: Int { indices.count }

  var batchCount: Int { batches.count }

  /// - Parameters:
  ///   - workspace: A workspace with room for `network`.
  ///   - limit: The largest number of batches. It serves to measure times; the values then mean nothing.
  /// - Returns: The values of the measures, in their order.
  func evaluate(
    _ state: borrowing StateBuffer, workspace: inout CompiledNetwork.Workspace, limit: Int = .max
  ) throws -> [Double] {
    network.take(&workspace)
    var measurement = Measurement(measures, outputs: network.outputCount)
    for batch in batches.prefix(limit) {
      for part in batch {
        try examples.gather(part, into: workspace.inputs(rows: part.count), targets: &workspace.targets)
        try network.evaluate(state, rows: part.count, workspace: &workspace, into: &measurement)
      }
      measurement.endBatch()
    }
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
