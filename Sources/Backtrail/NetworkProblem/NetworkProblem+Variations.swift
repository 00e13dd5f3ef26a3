import Networks
import Runs
import Tensors

extension NetworkProblem {
  /// Half as many examples a batch, and no recalibration. How many are evaluated at once follows from the memory of updates.
  public func smallerWorkspaces() throws -> [WorkspaceVariation] {
    var found: [WorkspaceVariation] = []
    // The batches of a file have the size they have.
    if batchSize > 1, batchCount == nil {
      let half = try CompiledNetwork(network.network, loss: network.loss, batchSize: batchSize / 2, optimizer: network.optimizer,
        activationPrecision: network.activationPrecision)
      found.append(WorkspaceVariation("`batch-size` \(batchSize / 2)", leastBytes: try leastWorkspaceBytes(of: half)))
    }
    if evaluator.recalibrationBatches > 0 {
      let recalibrated = network.stateCount * MemoryLayout<Float>.stride
      found.append(WorkspaceVariation("`recalibrate` 0", leastBytes: try leastWorkspaceBytes(of: network) - recalibrated))
    }
    return found
  }

  /// The size in bytes of the smallest workspace, with states on disk.
  private func leastWorkspaceBytes(of network: CompiledNetwork) throws -> Int {
    var least = try network.withHeadInParts() ?? network
    if case .multiples(let unit) = network.batchParts, unit < network.batchSize { least = try least.withMicroBatches(of: unit) }
    return workspaceBytes(least, arenaCount: MemoryCurve(least).points.last?.arenaCount ?? least.arenaCount, isPaged: true)
  }
}
