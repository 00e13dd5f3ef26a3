import Networks
import Runs

extension NetworkProblem {
  /// Half as many examples a batch, activations and slots in fewer bits, and no recalibration. How many examples are evaluated at once
  /// follows from the memory of updates.
  public func variationsWithLessMemory() throws -> [ProblemVariation<NetworkProblem>] {
    var found: [ProblemVariation<NetworkProblem>] = []
    func add(_ change: String, _ network: CompiledNetwork) {
      var varied = self
      varied.network = network
      found.append(ProblemVariation(change, varied))
    }
    // The batches of a file have the size they have.
    if batchSize > 1, batchCount == nil { add("`batch-size` \(batchSize / 2)", try network.varied(batchSize: batchSize / 2)) }
    if network.activationPrecision == .float32 {
      add("`activation-precision` bfloat16", try network.varied(activationPrecision: .bfloat16))
    }
    let optimizer = network.optimizer
    if !optimizer.slotNames.isEmpty, optimizer.slotPrecision == .float32 {
      let coded = Optimizer(optimizer.rule, weightDecay: optimizer.weightDecay, slotPrecision: .eightBit)
      add("`optimizer-precision` 8bit", try network.varied(optimizer: coded))
    }
    if evaluator.recalibrationBatches > 0 {
      var calibrated = self
      calibrated.evaluator = try evaluator.withoutRecalibration()
      found.append(ProblemVariation("`recalibrate` 0", calibrated))
    }
    return found
  }
}
