import Replay
import Runs
import Tensors

/// The map θ ↦ (1 − η) θ + η x_j of one number, with x_j of variance 1: SGD on (θ − x_j)² / 2.
package protocol ShrinkingExample: AffineExample {
  /// η.
  var rate: Float { get }
  /// The mean of x_j.
  static var mean: Double { get }
  /// The largest |x_j| and |θ|.
  static var largest: Double { get }

  /// x_j: a function of seed and batch alone.
  func number(_ batch: Int, seed: Int) -> Float
}

extension ShrinkingExample {
  package var stateCount: Int { 1 }
  package var metrics: [Metric] { [Metric("loss"), Metric("theta")] }

  package func writeInitialState(seed: Int, to state: inout StateBuffer) {}

  package func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    state[0] += rate * (number(batch, seed: seed) - state[0])
  }

  package func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] {
    let theta = Double(state.values[0])
    return [(theta - Self.mean) * (theta - Self.mean) / 2, theta]
  }

  package var start: [Double] { [0] }

  package var law: AffineLaw { .shrinking(rate: Double(rate), mean: Self.mean, variance: 1) }

  package func limit(seed: Int, terms: Int) -> [Double] {
    [shrinkingSeries(rate: Double(rate), terms: terms) { Double(number($0, seed: seed)) }]
  }

  package func tolerance(after n: Int) -> Double { shrinkingTolerance(rate: Double(rate), largest: Self.largest, after: n) }
}

extension AffineLaw {
  /// θ ↦ (1 − η) θ + η x on one coordinate.
  package static func shrinking(rate: Double, mean: Double, variance: Double) -> AffineLaw {
    let keep = 1 - rate
    return AffineLaw(
      mean: [mean], meanMap: SquareMatrix(order: 1, [keep]), square: SquareMatrix(order: 1, [keep * keep]), noise: [rate * rate * variance])
  }
}

/// Σ η (1 − η)^(j−1) x_j over the first `terms` batches j, from the last to the first, so that small terms come first.
package func shrinkingSeries(rate: Double, terms: Int, _ x: (_ batch: Int) -> Double) -> Double {
  (1...terms).reversed().reduce(0) { sum, batch in (1 - rate) * sum + rate * x(batch) }
}

/// The error of θ + η (x − θ) in single precision, |x| and |θ| at most `largest`: each update adds at most 2⁻²⁴ (1 + 4η) times that, and
/// takes the factor 1 − η from what was there. After n updates, (1 − η)ⁿ of the start is left besides.
package func shrinkingTolerance(rate: Double, largest: Double, after n: Int) -> Double {
  largest * (0x1p-24 * (1 + 4 * rate) / rate + 2 * Elementary.power(1 - rate, n))
}
