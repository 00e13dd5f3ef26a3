import Tensors

/// The average of the states along a path by a rule, as far as the path has been followed.
final class RunningAverage: Sendable {
  let state: StoredState
  private let steps: Lock<AverageSteps>

  init(_ rule: AverageRule, count: Int) throws {
    state = try StoredState(count: count)
    steps = Lock(AverageSteps(rule))
  }

  /// Takes in the next state of the path.
  func add(_ state: borrowing TrainingState) {
    let weight = steps.withLock { $0.weight(state.updateCount) }
    self.state.write { average in
      // The mean of one state is that state, whatever the average held before.
      guard weight < 1 else { return average.copy(from: state) }
      average.values.move(toward: state.values, by: Float(weight))
      average.updateCount = state.updateCount
    }
  }
}
