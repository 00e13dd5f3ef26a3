import Tensors

/// The mean of a loss over all predictions.
public struct MeanLoss: Measure {
  public let loss: any Loss
  public let name: String

  public init(_ loss: any Loss, name: String = "testLoss") {
    self.loss = loss
    self.name = name
  }

  public var unit: String { loss.unit }
  public var targetKind: Targets.Kind? { loss.targetKind }

  /// The sum over the batches that have ended, and that of the terms of the present one.
  public func sumCount(outputs: Int) -> Int { 2 }

  public func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double]) {
    loss.sum(over: outputs, targets, into: &sums[1])
  }

  public func endBatch(_ sums: inout [Double], outputs: Int) {
    sums[0] += sums[1] / Double(loss.termCount(outputs: outputs))
    sums[1] = 0
  }

  public func value(_ sums: [Double], predictions: Int) -> Double { sums[0] / Double(predictions) }
}
