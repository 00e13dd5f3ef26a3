import Tensors

/// The average by a rule of the states along a path, up to the last state that was added.
final class RunningAverage: Sendable {
  let state: StoredState
  private let rule: AverageRule
  /// How many of a state's first floats are averaged.
  private let numberCount: Int
  private let steps: Lock<AverageSteps>

  init(_ rule: AverageRule, for map: some UpdateMap) throws {
    state = try StoredState(for: map)
    self.rule = rule
    numberCount = map.numberCount
    steps = Lock(AverageSteps(rule))
  }

  /// Adds the next state of the path. The first state starts the average anew.
  /// - Throws: `ReplayError.averageOutOfStep` if the state does not follow the last one added, and `PagingError`.
  func add(_ state: borrowing TrainingState) throws {
    let weight = steps.withLock { $0.weight(state.updateCount) }
    try self.state.write { average throws in
      guard state.updateCount == 1 || average.updateCount == state.updateCount - 1 else {
        throw outOfStep(average.updateCount, expected: state.updateCount - 1)
      }
      // The mean of one state is that state, whatever the average held before.
      guard weight < 1 else { return try average.copy(from: state) }
      try average.values.move(toward: state.values, by: Float(weight), first: numberCount)
      try average.values.copy(from: state.values, startingAt: numberCount)
      average.updateCount = state.updateCount
    }
  }

  /// - Throws: `ReplayError.averageOutOfStep` unless exactly the first `n` states of the path have been added.
  func check(standsAt n: Int) throws(ReplayError) {
    let count = state.read { $0.updateCount }
    guard count == n else { throw outOfStep(count, expected: n) }
  }

  private func outOfStep(_ count: Int, expected: Int) -> ReplayError {
    .averageOutOfStep(rule, states: count, expected: expected)
  }
}
