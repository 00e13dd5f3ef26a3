import Runs
import Datasets
import Networks
import Replay
import Tensors

/// The optimizer of a network on a data set: T_j is one of its updates for ∇L_j(θ), where L_j is the mean loss over
/// the examples of batch j. Plain SGD is θ ↦ θ − η ∇L_j(θ).
public struct NetworkUpdateMap: UpdateMap {
  var network: CompiledNetwork
  let examples: Examples
  let augmentation: Augmentation?
  let sampler: BatchSampler
  let learningRate: Double
  let schedule: LearningRateSchedule
  let seed: Int
  /// The evaluator, which shares a workspace with the updates.
  let evaluator: Evaluator
  /// Where states wait; nil if they are in memory.
  let pages: StatePages?

  public struct Workspace: ~Copyable {
    var network: CompiledNetwork.Workspace
    /// The indices of the current batch's examples.
    fileprivate var indices: [Int]
    /// Those of the current micro-batch.
    fileprivate var partIndices: [Int]
    /// A copy of a state whose running statistics are computed anew; empty if they are not.
    fileprivate var recalibrated: StateBuffer
  }

  public var stateCount: Int { network.stateCount }
  public var numberCount: Int { network.numberCount }

  public func makeState() throws -> StateBuffer {
    guard let pages else { return try StateBuffer(count: stateCount) }
    return try StateBuffer(count: stateCount, pagedIn: pages.folder)
  }

  public func makeWorkspace() throws -> Workspace {
    Workspace(
      network: try network.makeWorkspace(sharedWith: evaluator.network, pagedIn: pages?.folder),
      indices: [Int](repeating: 0, count: network.batchSize),
      partIndices: [Int](repeating: 0, count: network.microBatchSize),
      recalibrated: try evaluator.recalibrationBatches > 0 ? makeState() : StateBuffer(count: 0))
  }

  /// The values of the evaluator's measures, in their order. The state keeps its own running statistics.
  /// - Parameters:
  ///   - limit: The largest number of evaluation batches.
  ///   - others: Measures instead of the evaluator's; nil for its own.
  func evaluate(
    _ state: borrowing StateBuffer, workspace: inout Workspace, limit: Int = .max, by others: [any Measure]? = nil
  ) throws -> [Double] {
    guard evaluator.recalibrationBatches > 0 else {
      return try evaluator.evaluate(state, workspace: &workspace.network, limit: limit, by: others)
    }
    // The running statistics for these parameters are the means over the first batches.
    try workspace.recalibrated.copy(from: state)
    for batch in 1...evaluator.recalibrationBatches {
      // Networks with running statistics take whole batches.
      let context = try gather(batch, network.microBatch(0), into: &workspace, statisticsWeight: 1 / Float(batch))
      _ = try network.trainingLoss(of: &workspace.recalibrated, context: context, workspace: &workspace.network)
    }
    return try evaluator.evaluate(workspace.recalibrated, workspace: &workspace.network, limit: limit, by: others)
  }

  /// The time in seconds of a full `evaluate`. It is measured if that is short, and otherwise extrapolated from some
  /// of its parts.
  func timeEvaluation(_ state: borrowing StateBuffer, workspace: inout Workspace, atMost seconds: Double) throws -> Double {
    // The first part pays for touching memory, which is nothing beside a long one.
    var one = try secondsTaken { _ = try evaluator.evaluate(state, workspace: &workspace.network, limit: 1) }
    if one > seconds, evaluator.recalibrationBatches == 0 { return one * Double(evaluator.partCount) }
    one = try secondsTaken { _ = try evaluator.evaluate(state, workspace: &workspace.network, limit: 1) }
    let limit = min(evaluator.partCount, max(1, Int(seconds / one)))
    guard limit < evaluator.partCount || evaluator.recalibrationBatches > 0 else {
      return try secondsTaken { _ = try evaluate(state, workspace: &workspace) }
    }
    let some = try secondsTaken { _ = try evaluator.evaluate(state, workspace: &workspace.network, limit: limit) }
    var whole = some * Double(evaluator.partCount) / Double(limit)
    if evaluator.recalibrationBatches > 0 {
      try workspace.recalibrated.copy(from: state)
      let pass = try secondsTaken {
        let context = try gather(1, network.microBatch(0), into: &workspace, statisticsWeight: 1)
        _ = try network.trainingLoss(of: &workspace.recalibrated, context: context, workspace: &workspace.network)
      }
      whole += pass * Double(evaluator.recalibrationBatches)
    }
    return whole
  }

  public func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Workspace) throws {
    if let pages { state.pager?.keep(pages.residency.kept) }
    for index in 0..<network.microBatchCount {
      let part = network.microBatch(index)
      let context = try gather(batch, part, into: &workspace)
      try network.update(
        &state, learningRate: learningRate * schedule.fraction(batch: batch, position: position), position: position,
        context: context, workspace: &workspace.network, part: part)
    }
  }

  public func applyMeasuringLoss(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Workspace) throws -> Double? {
    if let pages { state.pager?.keep(pages.residency.kept) }
    var loss = 0.0
    for index in 0..<network.microBatchCount {
      let part = network.microBatch(index)
      let context = try gather(batch, part, into: &workspace)
      loss = try network.updateMeasuringLoss(
        &state, learningRate: learningRate * schedule.fraction(batch: batch, position: position), position: position,
        context: context, workspace: &workspace.network, part: part)
    }
    return loss
  }

  /// The mean loss over a batch's examples, computed as an update with this batch would. Buffers in `state`, such as
  /// running statistics, are changed.
  public func trainingLoss(batch: Int, of state: inout StateBuffer, workspace: inout Workspace) throws -> Double {
    var (sum, mean) = (0.0, 0.0)
    for index in 0..<network.microBatchCount {
      let part = network.microBatch(index)
      let context = try gather(batch, part, into: &workspace)
      mean = try network.trainingLoss(of: &state, context: context, workspace: &workspace.network, part: part, sum: &sum)
    }
    return mean
  }

  /// The network's stages with times measured on the first micro-batch of batch 1.
  func measuredCosts(_ state: inout StateBuffer, workspace: inout Workspace) throws -> [StageCost] {
    let context = try gather(1, network.microBatch(0), into: &workspace)
    return try network.measuredCosts(&state, context: context, workspace: &workspace.network)
  }

  private func gather(
    _ batch: Int, _ part: MicroBatch, into workspace: inout Workspace, statisticsWeight: Float? = nil
  ) throws -> PassContext {
    network.take(&workspace.network)
    sampler.fill(&workspace.indices, batch: batch)
    // Its memory is kept.
    workspace.partIndices.removeAll(keepingCapacity: true)
    workspace.partIndices.append(contentsOf: workspace.indices[part.examples])
    try examples.gather(
      workspace.partIndices, into: workspace.network.inputs(rows: part.examples.count),
      targets: &workspace.network.targets,
      augmentation: augmentation.map {
        Augmentation.Batch($0, seed: UInt64(seed), batch: batch, firstRow: part.examples.lowerBound, exampleShape: examples.exampleShape)
      })
    return PassContext(isTraining: true, seed: UInt64(seed), batch: batch, statisticsWeight: statisticsWeight)
  }
}
