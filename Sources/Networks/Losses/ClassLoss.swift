import Tensors

/// A loss that compares the logits of a prediction with the class it should have, by what `LogitStatistics` know of them.
///
/// It never needs all logits at once. Where they come in chunks of classes, `gather` takes each chunk in turn, `sum` then
/// has the losses, and `writeGradient` takes the chunks again, in any order, for the gradient by their logits. All logits
/// at once are one chunk: the bits are the same.
public protocol ClassLoss: Loss {
  /// The loss of one prediction.
  func value(_ statistics: LogitStatistics) -> Double

  /// Turns probabilities into the gradient of `value`, times a weight, by some of the prediction's logits.
  /// - Parameters:
  ///   - gradient: weight · softmax(x)_k for the classes k from `first` on, which the gradient takes the place of.
  ///   - first: the number of the chunk's first class.
  ///   - target: the prediction's class, which another chunk may hold.
  ///   - statistics: of all the prediction's logits.
  ///   - weight: what the gradient is multiplied by.
  func finishGradient(
    _ gradient: MutableVector, from first: Int, target: Int, _ statistics: LogitStatistics, times weight: Float)
}

extension ClassLoss {
  public var targetKind: Targets.Kind { .classes }

  public func sum(over logits: Matrix, _ targets: Targets, into sum: inout Double) { addEach(of: logits, targets, to: &sum) }

  /// Adds `value` of one prediction after the other.
  func addEach(of logits: Matrix, _ targets: Targets, to sum: inout Double) {
    for r in 0..<logits.rows {
      var statistics = LogitStatistics()
      statistics.add(logits[row: r], target: targets.label(r, of: logits.columns))
      sum += value(statistics)
    }
  }

  public func writeGradient(of logits: Matrix, _ targets: Targets, predictions: Int, to gradient: MutableMatrix) {
    let weight = 1 / Float(predictions)
    for r in 0..<logits.rows {
      let (row, result, target) = (logits[row: r], gradient[row: r], targets.label(r, of: logits.columns))
      var statistics = LogitStatistics()
      statistics.add(row, target: target, powers: result)
      statistics.writeSoftmax(of: row, times: weight, to: result, holdsPowers: true)
      finishGradient(result, from: 0, target: target, statistics, times: weight)
    }
  }

  /// Takes a chunk of classes into the statistics of each prediction.
  /// - Parameters:
  ///   - logits: predictions × the classes behind those that came before.
  ///   - targets: the class of each prediction.
  ///   - statistics: one for each prediction, new before the first chunk. Changing them in place takes no memory.
  public func gather(_ logits: Matrix, _ targets: Targets, into statistics: inout [LogitStatistics]) {
    for r in 0..<logits.rows { statistics[r].add(logits[row: r], target: Int(targets.classes[r])) }
  }

  /// Adds the losses of the first `predictions` predictions to `sum`, one after the other.
  /// - Parameter statistics: of all their logits.
  public func sum(over statistics: [LogitStatistics], predictions: Int, into sum: inout Double) {
    for r in 0..<predictions { sum += value(statistics[r]) }
  }

  /// Writes the gradient by a chunk of classes of the mean of the losses of `predictions` predictions.
  /// - Parameters:
  ///   - logits: predictions × the classes from `first` on.
  ///   - statistics: of all logits of these predictions.
  ///   - predictions: by how many the sum is divided for the mean: those of the whole batch.
  ///   - gradient: takes it; as large as `logits`.
  public func writeGradient(
    of logits: Matrix, from first: Int, _ targets: Targets, _ statistics: [LogitStatistics], predictions: Int,
    to gradient: MutableMatrix
  ) {
    let weight = 1 / Float(predictions)
    for r in 0..<logits.rows {
      let target = targets.label(r, of: statistics[r].count)
      statistics[r].writeSoftmax(of: logits[row: r], times: weight, to: gradient[row: r])
      finishGradient(gradient[row: r], from: first, target: target, statistics[r], times: weight)
    }
  }
}

extension Targets {
  /// The class of prediction `row`.
  fileprivate func label(_ row: Int, of count: Int) -> Int {
    let label = Int(classes[row])
    precondition(label >= 0 && label < count, "target \(label) is none of \(count) classes")
    return label
  }
}
