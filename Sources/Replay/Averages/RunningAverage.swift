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

  /// Adds the next state of the path to averages along it, all in one pass over the state. The first state starts an average anew.
  /// - Throws: `ReplayError.averageOutOfStep` if the state does not follow the last one added, and `PagingError`. The averages must not
  ///   be used then.
  static func add(_ state: borrowing TrainingState, to averages: [RunningAverage]) throws {
    guard let length = averages.first?.numberCount else { return }
    var moved: [FloatBuffer.Moved] = []
    try add(state, to: averages[...], first: length, &moved)
  }

  /// Takes exclusive hold of one average after the other, and moves all of them with the last.
  /// - Parameter length: How many of a state's first floats are averaged.
  private static func add(
    _ state: borrowing TrainingState, to averages: ArraySlice<RunningAverage>, first length: Int, _ moved: inout [FloatBuffer.Moved]
  ) throws {
    guard let next = averages.first else { return try FloatBuffer.move(moved, toward: state.values, first: length) }
    try next.state.write { average throws in
      guard state.updateCount == 1 || average.updateCount == state.updateCount - 1 else {
        throw next.outOfStep(average.updateCount, expected: state.updateCount - 1)
      }
      let weight = next.steps.withLock { $0.weight(state.updateCount) }
      if weight < 1 {
        moved.append(average.values.moved(by: Float(weight)))
        average.updateCount = state.updateCount
      } else {
        // The mean of one state is that state, whatever the average held before.
        try average.copy(from: state)
      }
      try add(state, to: averages.dropFirst(), first: length, &moved)
      if weight < 1 { try average.values.copy(from: state.values, startingAt: length) }
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
