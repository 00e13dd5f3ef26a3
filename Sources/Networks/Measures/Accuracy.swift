import Tensors

/// The fraction of predictions whose largest logit, the first of equals, is that of their class. A prediction with a logit
/// that is NaN, or whose largest is infinite, means nothing and is never a hit.
public struct Accuracy: Measure {
  public let name: String

  public var targetKind: Targets.Kind? { .classes }

  public init(name: String = "testAccuracy") {
    self.name = name
  }

  public var isLessBetter: Bool { false }
  public var range: ClosedRange<Double> { 0...1 }

  public func add(_ logits: Matrix, _ targets: Targets, to sums: inout [Double]) {
    var hits = 0
    for r in 0..<logits.rows {
      let row = logits[row: r]
      let largest = row.indexOfLargest
      guard largest == Int(targets.classes[r]), row[largest].isFinite else { continue }
      var hasMeaning = true
      for c in 0..<row.count where row[c].isNaN { hasMeaning = false }
      if hasMeaning { hits += 1 }
    }
    sums[0] += Double(hits)
  }

  public func value(_ sums: [Double], predictions: Int) -> Double { sums[0] / Double(predictions) }
}
