import Foundation
import Replay
import Runs
import Tensors

/// A training problem without a network whose states grow beyond all bounds for some orders and seeds and stay small for others: a
/// cubic term feeds on itself once a state is large.
public struct Blast: UpdateMap, TrainingProblem {
  public let stateCount = 2
  public var metrics: [Metric] { [Metric("size")] }
  public var seed = 0
  /// The weight of the cubic term.
  public var cubic: Float

  public init(cubic: Float = 0.2) { self.cubic = cubic }

  public func map(seed: Int) -> Blast {
    var map = self
    map.seed = seed
    return map
  }

  public func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    var random = SplitMix(state: UInt64(batch * 1009 + seed))
    let (a, b) = (Float.random(in: -1...1, using: &random), Float.random(in: -1...1, using: &random))
    let x = state[0]
    state[0] = 0.7 * x + a + cubic * b * x * x * x
    state[1] = 0.5 * state[1] + 0.1 * state[0]
  }

  /// The distance of the state before the update from the batch's own place.
  public func loss(batch: Int, of state: borrowing StateBuffer) -> Double { abs(Double(state[0]) - Double(batch % 5)) }

  public func applyMeasuringLoss(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) -> Double? {
    let loss = loss(batch: batch, of: state)
    apply(batch: batch, position: position, to: &state, workspace: &workspace)
    return loss
  }

  public func writeInitialState(seed: Int, to state: inout StateBuffer) { (state[0], state[1]) = (Float(seed) / 10, 0) }

  public func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] { [Double(abs(state.values[0]))] }

  /// The state after a batch sequence, computed update by update.
  public func state(after batches: [Int], seed: Int) throws -> TrainingState {
    var state = TrainingState(values: try StateBuffer(count: 2))
    writeInitialState(seed: seed, to: &state.values)
    let map = map(seed: seed)
    var workspace: Void = ()
    for batch in batches {
      map.apply(batch: batch, position: state.updateCount, to: &state.values, workspace: &workspace)
      state.updateCount += 1
    }
    return state
  }
}
