import Tensors

/// The mean of |x − t| over all numbers of all predictions.
public struct MeanAbsoluteError: Measure {
  public let name: String

  public var targetKind: Targets.Kind? { .values }

  public init(name: String = "testMeanAbsoluteError") {
    self.name = name
  }

  /// The sum over the batches that have ended, how many numbers have been added, and the sum of the present batch.
  public func sumCount(outputs: Int) -> Int { 3 }

  public func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double]) {
    addErrors(outputs, targets, to: &sums[2]) { abs($0) }
    sums[1] += Double(outputs.rows * outputs.columns)
  }

  public func endBatch(_ sums: inout [Double], outputs: Int) {
    sums[0] += sums[2]
    sums[2] = 0
  }

  public func value(_ sums: [Double], predictions: Int) -> Double { sums[0] / sums[1] }
}

/// Adds `term`(x − t) of all numbers to `sum`, in their order.
func addErrors(_ outputs: Matrix, _ targets: Targets, to sum: inout Double, _ term: (Double) -> Double) {
  let count = outputs.columns
  for r in 0..<outputs.rows {
    let row = outputs[row: r]
    for c in 0..<count { sum += term(Double(row[c]) - Double(targets.values[r * count + c])) }
  }
}
