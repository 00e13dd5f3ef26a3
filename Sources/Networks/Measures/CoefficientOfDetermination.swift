import Tensors

/// R² = 1 − Σ (x − t)² / Σ (t − t̄)², with t̄ the mean target: 1 for perfect predictions, 0 for ones no better than t̄. Where a
/// prediction has several numbers, each has its own R², and the value is their mean, as in scikit-learn's `r2_score`; as
/// there, where all targets are equal it is 1 for perfect predictions, else 0.
///
/// The mean and the squares around it are followed target by target (Welford 1962, "Note on a method for calculating
/// corrected sums of squares and products"), so that no large sums cancel.
public struct CoefficientOfDetermination: Measure {
  public let name: String

  public var targetKind: Targets.Kind? { .values }

  public init(name: String = "testR2") {
    self.name = name
  }

  public var isLessBetter: Bool { false }

  /// The number of predictions; then for each of their numbers the mean target, Σ (t − t̄)² and Σ (x − t)².
  public func sumCount(outputs: Int) -> Int { 1 + 3 * outputs }

  public func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double]) {
    let count = outputs.columns
    for r in 0..<outputs.rows {
      let row = outputs[row: r]
      sums[0] += 1
      for c in 0..<count {
        let target = Double(targets.values[r * count + c])
        let error = Double(row[c]) - target
        let place = 1 + 3 * c
        let distance = target - sums[place]
        sums[place] += distance / sums[0]
        sums[place + 1] += distance * (target - sums[place])
        sums[place + 2] += error * error
      }
    }
  }

  public func value(_ sums: [Double], predictions: Int) -> Double {
    let count = (sums.count - 1) / 3
    var sum = 0.0
    for c in 0..<count {
      let (squares, errors) = (sums[2 + 3 * c], sums[3 + 3 * c])
      sum += squares > 0 ? 1 - errors / squares : errors == 0 ? 1 : errors.isNaN ? .nan : 0
    }
    return sum / Double(count)
  }
}
