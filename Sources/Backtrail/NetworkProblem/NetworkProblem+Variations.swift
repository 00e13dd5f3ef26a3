import Networks
import Runs
import Tensors

extension NetworkProblem {
  /// Half as many examples a batch, half as many evaluated at once, both, and no recalibration.
  public func smallerWorkspaces() throws -> [WorkspaceVariation] {
    let evaluation = evaluator.network.batchSize
    /// - Parameters:
    ///   - trained: The length in floats of the arena of an update; `evaluated` is that of an evaluation.
    func bytes(trained: Int, evaluated: Int, recalibrates: Bool = true) -> Int {
      let recalibrated = recalibrates && evaluator.recalibrationBatches > 0 ? network.stateCount : 0
      return (max(trained, evaluated) + recalibrated) * MemoryLayout<Float>.stride
    }
    let trained = leastArenaCount(of: network)
    let evaluated = evaluator.network.arenaCount
    var found: [WorkspaceVariation] = []
    // The batches of a file have the size they have.
    var halfTrained: Int?
    if batchSize > 1, batchCount == nil {
      let half = leastArenaCount(
        of: try CompiledNetwork(network.network, loss: network.loss, batchSize: batchSize / 2, optimizer: network.optimizer))
      halfTrained = half
      found.append(WorkspaceVariation("`batch-size` \(batchSize / 2)", leastBytes: bytes(trained: half, evaluated: evaluated)))
    }
    if evaluation > 1 {
      let half = try CompiledNetwork(network.network, loss: network.loss, batchSize: evaluation / 2, isTrained: false).arenaCount
      found.append(
        WorkspaceVariation("`evaluation-batch-size` \(evaluation / 2)", leastBytes: bytes(trained: trained, evaluated: half)))
      // Both together are worth a word only if neither does as much alone.
      if let halfTrained, max(halfTrained, half) < min(max(trained, half), max(halfTrained, evaluated)) {
        found.append(
          WorkspaceVariation(
            "`batch-size` \(batchSize / 2) and `evaluation-batch-size` \(evaluation / 2)",
            leastBytes: bytes(trained: halfTrained, evaluated: half)))
      }
    }
    if evaluator.recalibrationBatches > 0 {
      found.append(
        WorkspaceVariation("`recalibrate` 0", leastBytes: bytes(trained: trained, evaluated: evaluated, recalibrates: false)))
    }
    return found
  }

  private func leastArenaCount(of network: CompiledNetwork) -> Int {
    MemoryCurve(network).points.last?.arenaCount ?? network.arenaCount
  }
}
