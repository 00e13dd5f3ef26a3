import Tensors

/// The fraction of logits on the right side: above 0 where the target is above ½, and not above 0 where it is not. A logit
/// that is not finite is on neither.
public struct BinaryAccuracy: Measure {
  public let name: String

  public var targetKind: Targets.Kind? { .values }

  public init(name: String = "testAccuracy") {
    self.name = name
  }

  public var isLessBetter: Bool { false }
  public var range: ClosedRange<Double> { 0...1 }

  public func sumCount(outputs: Int) -> Int { 2 }

  /// Hits, and logits seen.
  public func add(_ logits: Matrix, _ targets: Targets, to sums: inout [Double]) {
    let count = logits.columns
    for r in 0..<logits.rows {
      let row = logits[row: r]
      for c in 0..<count where row[c].isFinite && (row[c] > 0) == (targets.values[r * count + c] > 0.5) { sums[0] += 1 }
    }
    sums[1] += Double(logits.rows * count)
  }

  public func value(_ sums: [Double], predictions: Int) -> Double { sums[0] / sums[1] }
}
