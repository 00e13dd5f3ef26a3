import Runs
import Datasets
import Networks
import Replay
import Tensors

/// Loss and accuracy of a network on test examples, in batches of a fixed size and order.
public struct Evaluator: Sendable {
  let network: CompiledNetwork
  private let examples: Examples
  /// The evaluated examples, batch by batch.
  private let batches: [[Int]]
  /// How many examples that are.
  let count: Int
  /// Over so many training batches running statistics are computed anew before; 0 for those of the state.
  let recalibrationBatches: Int

  /// - Parameters:
  ///   - network: compiled for the batches of the evaluation.
  ///   - count: how many examples at most; nil for all. A part is the same for every run and seed.
  init(
    network: CompiledNetwork, examples: Examples, count: Int?, recalibrationBatches: Int
  ) throws(DatasetError) {
    self.network = network
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
  ///   - workspace: one that has room for `network`.
  ///   - limit: so many batches at most, to time some of them; what is returned says nothing then.
  func evaluate(
    _ state: borrowing StateBuffer, workspace: inout CompiledNetwork.Workspace, limit: Int = .max
  ) -> (loss: Double, accuracy: Double) {
    network.take(&workspace)
    var lossSum = 0.0
    var correct = 0
    for batch in batches.prefix(limit) {
      examples.gather(batch, into: workspace.inputs(rows: batch.count), labels: &workspace.labels)
      let result = network.evaluate(state, rows: batch.count, workspace: &workspace)
      lossSum += result.lossSum
      correct += result.correct
    }
    let labels = Double(count * network.labelCount)
    return (lossSum / labels, Double(correct) / labels)
  }
}
