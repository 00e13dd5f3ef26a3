import Foundation
import Tensors

/// −Σ_k q_k log softmax(x)_k of logits x against a class c, in nats, where q is 1 for c and 0 for the others; with label
/// smoothing ε, q_k = (1 − ε) [k = c] + ε / K (Szegedy et al. 2016, section 7; `torch.nn.CrossEntropyLoss`).
public struct CrossEntropy: Loss {
  /// ε, at least 0 and below 1.
  public let labelSmoothing: Float

  /// - Parameter labelSmoothing: the part of each target that is shared evenly between all classes; at least 0, below 1.
  public init(labelSmoothing: Float = 0) {
    precondition((0..<1).contains(labelSmoothing), "label smoothing is at least 0 and below 1")
    self.labelSmoothing = labelSmoothing
  }

  public var targetKind: Targets.Kind { .classes }
  public var unit: String { "nats" }
  public var measures: [any Measure] { [Accuracy()] }

  public func sum(over logits: Matrix, _ targets: Targets) -> Double {
    var lossSum = 0.0
    for r in 0..<logits.rows {
      let row = logits[row: r]
      let largest = row.indexOfLargest
      var sum = 0.0
      for c in 0..<row.count { sum += Double(exp(row[c] - row[largest])) }
      lossSum += log(sum) + Double(row[largest]) - expected(row, label(r, of: targets, classes: row.count))
    }
    return lossSum
  }

  /// Σ_k q_k x_k.
  private func expected(_ row: Vector, _ label: Int) -> Double {
    guard labelSmoothing > 0 else { return Double(row[label]) }
    var sum = 0.0
    for c in 0..<row.count { sum += Double(row[c]) }
    let smoothing = Double(labelSmoothing)
    return (1 - smoothing) * Double(row[label]) + smoothing / Double(row.count) * sum
  }

  /// (softmax(x) − q) / predictions.
  public func writeGradient(of logits: Matrix, _ targets: Targets, to gradient: MutableMatrix) {
    let weight = 1 / Float(logits.rows)
    for r in 0..<logits.rows {
      let row = logits[row: r]
      let result = gradient[row: r]
      let largest = row[row.indexOfLargest]
      var sum: Float = 0
      for c in 0..<row.count {
        result[c] = exp(row[c] - largest)
        sum += result[c]
      }
      let scale = weight / sum
      for c in 0..<row.count { result[c] *= scale }
      let label = label(r, of: targets, classes: row.count)
      guard labelSmoothing > 0 else {
        result[label] -= weight
        continue
      }
      let shared = weight * labelSmoothing / Float(row.count)
      for c in 0..<row.count { result[c] -= shared }
      result[label] -= weight * (1 - labelSmoothing)
    }
  }

  private func label(_ row: Int, of targets: Targets, classes: Int) -> Int {
    let label = Int(targets.classes[row])
    precondition(label >= 0 && label < classes, "target \(label) is none of \(classes) classes")
    return label
  }
}

extension Vector {
  /// The first of the largest; 0 where the first is NaN.
  var indexOfLargest: Int {
    var best = 0
    for c in 1..<max(1, count) where self[c] > self[best] { best = c }
    return best
  }
}
