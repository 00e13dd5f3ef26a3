import Tensors

/// A loss that compares the logits of a prediction with the class it should have, by what `LogitStatistics` know of them.
///
/// It never needs all logits at once. Where they come in chunks of classes, `gather` takes each chunk in turn, `sum` then
/// has the losses, and `writeGradient` takes the chunks again, in any order, for the gradient by their logits. All logits
/// at once are one chunk: the bits are the same.
public protocol ClassLoss: Loss {
  /// The loss of one prediction.
  func value(_ statistics: LogitStatistics) -> Double

  /// Writes the gradient of `value`, times a weight, by some of the prediction's logits.
  /// - Parameters:
  ///   - logits: those of the classes from `first` on; a chunk as for `LogitStatistics.add(_:target:)`.
  ///   - first: the number of the chunk's first class.
  ///   - target: the prediction's class, which another chunk may hold.
  ///   - statistics: of all the prediction's logits.
  ///   - weight: what the gradient is multiplied by.
  ///   - gradient: takes it; as long as `logits`. Its old contents are no number to rely on.
  func writeGradient(
    of logits: Vector, from first: Int, target: Int, _ statistics: LogitStatistics, times weight: Float,
    to gradient: MutableVector)
}

extension ClassLoss {
  public var targetKind: Targets.Kind { .classes }

  public func sum(over logits: Matrix, _ targets: Targets, into sum: inout Double) {
    for r in 0..<logits.rows { sum += value(statistics(of: logits[row: r], target: targets.label(r, of: logits.columns))) }
  }

  public func writeGradient(of logits: Matrix, _ targets: Targets, predictions: Int, to gradient: MutableMatrix) {
    let weight = 1 / Float(predictions)
    for r in 0..<logits.rows {
      let (row, target) = (logits[row: r], targets.label(r, of: logits.columns))
      writeGradient(
        of: row, from: 0, target: target, statistics(of: row, target: target), times: weight, to: gradient[row: r])
    }
  }

  private func statistics(of logits: Vector, target: Int) -> LogitStatistics {
    var statistics = LogitStatistics()
    statistics.add(logits, target: target)
    return statistics
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
      writeGradient(
        of: logits[row: r], from: first, target: targets.label(r, of: statistics[r].count), statistics[r], times: weight,
        to: gradient[row: r])
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
