import Foundation
import Networks
import Tensors

/// Keeps what a network predicts of the test examples: the probabilities of classes, or values.
final class PredictionCollector: Measure {
  let name = "predictions"
  private let isOfClasses: Bool
  private let collected = Lock<[Float]>([])

  init(_ kind: Targets.Kind) { isOfClasses = kind == .classes }

  /// Prediction after prediction.
  var predictions: [Float] { collected.withLock { $0 } }

  func add(_ outputs: Matrix, _ targets: Targets, to sums: inout [Double]) {
    collected.withLock { collected in
      for row in 0..<outputs.rows {
        let values = outputs[row: row]
        guard isOfClasses else {
          for place in 0..<values.count { collected.append(values[place]) }
          continue
        }
        var largest = -Float.infinity
        for place in 0..<values.count { largest = max(largest, values[place]) }
        let powers = (0..<values.count).map { Elementary.exp(Double(values[$0] - largest)) }
        let sum = powers.reduce(0, +)
        for power in powers { collected.append(Float(power / sum)) }
      }
    }
  }

  func value(_ sums: [Double], predictions: Int) -> Double { 0 }
}

/// The root mean square, over predictions, of their Euclidean distance in two sets of the same predictions.
/// - Parameter width: The numbers of one prediction.
func rootMeanSquare(_ a: [Float], _ b: [Float], width: Int) -> Double {
  var squares = 0.0
  for (x, y) in zip(a, b) {
    let difference = Double(x) - Double(y)
    squares += difference * difference
  }
  return (squares / Double(max(1, a.count / width))).squareRoot()
}
