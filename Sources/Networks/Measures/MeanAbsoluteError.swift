import Tensors

/// The mean of |x − t| over all numbers of all predictions.
public struct MeanAbsoluteError: Measure {
  public let name: String

  public var targetKind: Targets.Kind? { .values }

  public init(name: String = "testMeanAbsoluteError") {
    self.name = name
  }

  /// The sum, and how many numbers it has.
  public func sumCount(outputs: Int) -> Int { 2 }

  public func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double]) {
    sums[0] += sumOfErrors(outputs, targets) { abs($0) }
    sums[1] += Double(outputs.rows * outputs.columns)
  }

  public func value(_ sums: [Double], predictions: Int) -> Double { sums[0] / sums[1] }
}

/// Σ `term`(x − t) over all numbers of a batch, in their order.
func sumOfErrors(_ outputs: Matrix, _ targets: Targets, _ term: (Double) -> Double) -> Double {
  let count = outputs.columns
  var sum = 0.0
  for r in 0..<outputs.rows {
    let row = outputs[row: r]
    for c in 0..<count { sum += term(Double(row[c]) - Double(targets.values[r * count + c])) }
  }
  return sum
}
