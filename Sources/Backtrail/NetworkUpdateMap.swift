import Datasets
import Networks
import Replay
import Tensors

/// A network's optimizer on a data set: T_j is one of its updates for ∇L_j(θ), with L_j the mean loss over the examples
/// of batch j. Plain SGD is θ ↦ θ − η ∇L_j(θ).
public struct NetworkUpdateMap: UpdateMap {
  let network: CompiledNetwork
  let examples: Examples
  let sampler: BatchSampler
  let learningRate: Double
  let schedule: LearningRateSchedule
  let seed: Int

  public struct Workspace: ~Copyable {
    fileprivate var network: CompiledNetwork.Workspace
    /// The examples of the batch at hand.
    fileprivate var indices: [Int]
  }

  public var stateCount: Int { network.stateCount }

  public func makeWorkspace() throws -> Workspace {
    Workspace(
      network: try network.makeWorkspace(), indices: [Int](repeating: 0, count: network.batchSize))
  }

  public func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Workspace) {
    let context = gather(batch, into: &workspace)
    network.update(
      &state, learningRate: learningRate * schedule.fraction(batch: batch, position: position), position: position,
      context: context, workspace: &workspace.network)
  }

  /// The mean loss of a batch's examples as an update with it sees them. Buffers in `state`, such as running statistics,
  /// are changed.
  public func trainingLoss(batch: Int, of state: inout StateBuffer, workspace: inout Workspace) -> Double {
    let context = gather(batch, into: &workspace)
    return network.trainingLoss(of: &state, context: context, workspace: &workspace.network)
  }

  private func gather(_ batch: Int, into workspace: inout Workspace) -> PassContext {
    sampler.fill(&workspace.indices, batch: batch)
    examples.gather(
      workspace.indices, into: workspace.network.inputs(rows: network.batchSize), labels: &workspace.network.labels)
    return PassContext(isTraining: true, seed: UInt64(seed), batch: batch)
  }
}

/// Loss and accuracy of a network on test examples, in batches of a fixed size and order.
public struct Evaluator: Sendable {
  let network: CompiledNetwork
  let examples: Examples
  /// The evaluated examples, batch by batch.
  let batches: [[Int]]
  let count: Int

  /// - Parameter count: how many examples at most; nil for all. A part is the same for every run and seed.
  init(network: CompiledNetwork, examples: Examples, count: Int?) throws(DatasetError) {
    self.network = network
    self.examples = examples
    let indices = try examples.evaluationIndices(atMost: count)
    self.count = indices.count
    batches = stride(from: 0, to: indices.count, by: network.batchSize).map {
      Array(indices[$0..<min($0 + network.batchSize, indices.count)])
    }
  }

  func evaluate(
    _ state: borrowing StateBuffer, workspace: inout CompiledNetwork.Workspace
  ) -> (loss: Double, accuracy: Double) {
    var lossSum = 0.0
    var correct = 0
    for batch in batches {
      examples.gather(batch, into: workspace.inputs(rows: batch.count), labels: &workspace.labels)
      let result = network.evaluate(state, rows: batch.count, workspace: &workspace)
      lossSum += result.lossSum
      correct += result.correct
    }
    return (lossSum / Double(count), Double(correct) / Double(count))
  }
}
