import Tensors

/// √ of the mean of (x − t)² over all numbers of all predictions: an error in the targets' own unit.
public struct RootMeanSquaredError: Measure {
  public let name: String

  public var targetKind: Targets.Kind? { .values }

  public init(name: String = "testRootMeanSquaredError") {
    self.name = name
  }

  /// The sum over the batches that have ended, how many numbers have been added, and the sum of the present batch.
  public func sumCount(outputs: Int) -> Int { 3 }

  public func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double]) {
    addErrors(outputs, targets, to: &sums[2]) { $0 * $0 }
    sums[1] += Double(outputs.rows * outputs.columns)
  }

  public func endBatch(_ sums: inout [Double], outputs: Int) {
    sums[0] += sums[2]
    sums[2] = 0
  }

  public func value(_ sums: [Double], predictions: Int) -> Double { (sums[0] / sums[1]).squareRoot() }
}
