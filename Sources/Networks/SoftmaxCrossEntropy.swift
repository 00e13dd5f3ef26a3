import Foundation
import Tensors

/// The loss −log softmax(x)_c of logits x against the class c, in natural logarithms.
public enum SoftmaxCrossEntropy {
  /// Loss and hits of a batch, summed over examples in their order.
  /// - Parameters:
  ///   - logits: examples × classes.
  ///   - labels: the class of each row, from 0.
  /// - Returns: `correct` counts rows whose largest logit (the first of equals) is their class's.
  public static func evaluate(_ logits: Matrix, labels: [Int32]) -> (lossSum: Double, correct: Int) {
    var lossSum = 0.0
    var correct = 0
    for r in 0..<logits.rows {
      let row = logits[row: r]
      let largest = largestIndex(row)
      var sum = 0.0
      for c in 0..<row.count { sum += Double(exp(row[c] - row[largest])) }
      let label = Int(labels[r])
      lossSum += log(sum) + Double(row[largest]) - Double(row[label])
      // A NaN is never the largest, but it makes the sum NaN: no hit is counted for a row without meaning.
      if largest == label && sum.isFinite { correct += 1 }
    }
    return (lossSum, correct)
  }

  /// The gradient of the mean loss by the logits: (softmax(x) − 1_c) / examples.
  /// - Parameter gradient: takes it; as large as `logits`.
  public static func writeGradient(of logits: Matrix, labels: [Int32], to gradient: Matrix) {
    let weight = 1 / Float(logits.rows)
    for r in 0..<logits.rows {
      let row = logits[row: r]
      let result = gradient[row: r]
      let largest = row[largestIndex(row)]
      var sum: Float = 0
      for c in 0..<row.count {
        result[c] = exp(row[c] - largest)
        sum += result[c]
      }
      let scale = weight / sum
      for c in 0..<row.count { result[c] *= scale }
      result[Int(labels[r])] -= weight
    }
  }

  private static func largestIndex(_ row: Vector) -> Int {
    var best = 0
    for c in 1..<max(1, row.count) where row[c] > row[best] { best = c }
    return best
  }
}
