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

  public func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double]) {
    sums[0] += loss.sum(over: outputs, targets)
  }

  public func value(_ sums: [Double], predictions: Int) -> Double { sums[0] / Double(predictions) }
}
