import Replay
import Runs
import Tensors

/// A training problem without a network, for tests of runs. Each batch moves and mixes three floats in such a way
/// that every order of batches gives a different result.
public struct Drift: UpdateMap, TrainingProblem {
  public let stateCount = 3
  public var metrics: [Metric] { [Metric("offset", unit: "units"), Metric("spread", isLessBetter: false)] }
  public var settings: [String: JSONValue] { ["rate": .number(Double(rate))] }
  public var inputs: InputDigests { InputDigests(data: Digest(of: Array(data.utf8).span.bytes)) }
  public var rate: Float
  public var batchCount: Int?
  /// What the problem was made from.
  public var data = "data"
  /// From this update on it is no number.
  public var diverges = Int.max

  public init(rate: Float = 0.1, batchCount: Int? = nil) {
    self.rate = rate
    self.batchCount = batchCount
  }

  public func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    if position >= diverges { state[0] = .nan }
    let target = Float((batch * 7919) % 101) / 101
    state[0] += rate * (target - state[0])
    state[1] = 0.9 * state[1] + rate * state[0] * Float(1 + position % 3)
    state[2] += rate * (state[0] * state[1] - state[2])
  }

  public func writeInitialState(seed: Int, to state: inout StateBuffer) {
    for index in 0..<3 { state[index] = Float(seed + index) / 10 }
  }

  public func measure(_ state: borrowing TrainingState, seed: Int, workspace: inout Void) -> [Double] {
    [Double(abs(state.values[0] - 0.5)), Double(state.values[1] - state.values[2])]
  }

  public func trainingLoss(batch: Int, seed: Int, of state: inout StateBuffer, workspace: inout Void) -> Double? {
    Double(abs(state[0] - Float(batch % 2)))
  }

  /// The digest of an iterate, computed update by update.
  public func digest(of sequence: BatchSequence, seed: Int) throws -> Digest {
    var state = TrainingState(values: try StateBuffer(count: 3))
    writeInitialState(seed: seed, to: &state.values)
    var workspace: Void = ()
    for position in 0..<sequence.count {
      apply(batch: sequence[position], position: position, to: &state.values, workspace: &workspace)
      state.updateCount += 1
    }
    return try state.digest
  }
}
