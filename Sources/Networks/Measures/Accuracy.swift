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
    sums[0] += Double(logits.countHits(at: targets.classes))
  }

  public func value(_ sums: [Double], predictions: Int) -> Double { sums[0] / Double(predictions) }
}
