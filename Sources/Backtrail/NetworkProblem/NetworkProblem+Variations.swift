import Networks
import Runs
import Tensors

extension NetworkProblem {
  /// Half as many examples a batch, and no recalibration. How many are evaluated at once follows from the memory of updates.
  public func smallerWorkspaces() throws -> [WorkspaceVariation] {
    var found: [WorkspaceVariation] = []
    // The batches of a file have the size they have.
    if batchSize > 1, batchCount == nil {
      let half = try CompiledNetwork(network.network, loss: network.loss, batchSize: batchSize / 2, optimizer: network.optimizer)
      found.append(
        WorkspaceVariation("`batch-size` \(batchSize / 2)", leastBytes: workspaceBytes(arenaCount: try leastArenaCount(of: half))))
    }
    if evaluator.recalibrationBatches > 0 {
      let recalibrated = network.stateCount * MemoryLayout<Float>.stride
      found.append(
        WorkspaceVariation(
          "`recalibrate` 0", leastBytes: workspaceBytes(arenaCount: try leastArenaCount(of: network)) - recalibrated))
    }
    return found
  }

  private func leastArenaCount(of network: CompiledNetwork) throws -> Int {
    let least = MemoryCurve(try network.withHeadInParts() ?? network)
    return least.points.last?.arenaCount ?? network.arenaCount
  }
}
