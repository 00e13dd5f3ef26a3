import Networks
import Runs

extension NetworkProblem {
  /// Half as many examples a batch, and no recalibration. How many are evaluated at once follows from the memory of updates.
  public func variationsWithLessMemory() throws -> [ProblemVariation<NetworkProblem>] {
    var found: [ProblemVariation<NetworkProblem>] = []
    // The batches of a file have the size they have.
    if batchSize > 1, batchCount == nil {
      var half = self
      half.network = try network.withBatches(of: batchSize / 2)
      found.append(ProblemVariation("`batch-size` \(batchSize / 2)", half))
    }
    if evaluator.recalibrationBatches > 0 {
      var calibrated = self
      calibrated.evaluator = try evaluator.withoutRecalibration()
      found.append(ProblemVariation("`recalibrate` 0", calibrated))
    }
    return found
  }
}
