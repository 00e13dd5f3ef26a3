import Tensors

/// √ of the mean of (x − t)² over all numbers of all predictions: an error in the targets' own unit.
public struct RootMeanSquaredError: Measure {
  public let name: String

  public var targetKind: Targets.Kind? { .values }

  public init(name: String = "testRootMeanSquaredError") {
    self.name = name
  }

  /// The sum, and how many numbers it has.
  public func sumCount(outputs: Int) -> Int { 2 }

  public func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double]) {
    sums[0] += sumOfErrors(outputs, targets) { $0 * $0 }
    sums[1] += Double(outputs.rows * outputs.columns)
  }

  public func value(_ sums: [Double], predictions: Int) -> Double { (sums[0] / sums[1]).squareRoot() }
}
