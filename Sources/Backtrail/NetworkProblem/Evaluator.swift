import Runs
import Datasets
import Networks
import Replay
import Tensors

/// Measures a network on test examples, in batches of a fixed size and order.
public struct Evaluator: Sendable {
  let network: CompiledNetwork
  /// The measures, in the order of the values.
  public let measures: [any Measure]
  private let examples: Examples
  /// The indices of the evaluated examples, batch by batch.
  private let batches: [[Int]]
  /// The number of evaluated examples.
  let count: Int
  /// The number of training batches over which running statistics are computed anew before an evaluation; 0 for those
  /// of the state.
  let recalibrationBatches: Int

  /// - Parameters:
  ///   - network: The network, compiled for the batches of the evaluation.
  ///   - measures: At least one measure; nil for the default measures of the network's loss.
  ///   - count: The largest number of examples; nil for all. The chosen examples are the same for every run and seed.
  init(
    network: CompiledNetwork, measures: [any Measure]? = nil, examples: Examples, count: Int?, recalibrationBatches: Int
  ) throws(DatasetError) {
    self.network = network
    self.measures = measures ?? network.loss.defaultMeasures
    self.examples = examples
    self.recalibrationBatches = recalibrationBatches
    let indices = try examples.evaluationIndices(atMost: count)
    self.count = indices.count
    batches = stride(from: 0, to: indices.count, by: network.batchSize).map {
      Array(indices[$0..<min($0 + network.batchSize, indices.count)])
    }
  }

  var batchCount: Int { batches.count }

  /// - Parameters:
  ///   - workspace: A workspace with room for `network`.
  ///   - limit: The largest number of batches. It serves to measure times; the values then mean nothing.
  /// - Returns: The values of the measures, in their order.
  func evaluate(
    _ state: borrowing StateBuffer, workspace: inout CompiledNetwork.Workspace, limit: Int = .max
  ) throws(DatasetError) -> [Double] {
    network.take(&workspace)
    var measurement = Measurement(measures, outputs: network.outputCount)
    for batch in batches.prefix(limit) {
      try examples.gather(batch, into: workspace.inputs(rows: batch.count), targets: &workspace.targets)
      network.evaluate(state, rows: batch.count, workspace: &workspace, into: &measurement)
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
