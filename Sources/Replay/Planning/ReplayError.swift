/// An error in planning or executing a replay.
public enum ReplayError: Error, Equatable, CustomStringConvertible {
  /// The plan would have more updates than `ReplayPlan.mostUpdates`.
  case tooManyUpdates
  /// A running average does not cover exactly the states of the path up to where it is used. This is a programming
  /// error.
  case averageOutOfStep(AverageRule, states: Int, expected: Int)

  public var description: String {
    switch self {
    case .tooManyUpdates:
      """
      what is asked for takes more than \(ReplayPlan.mostUpdates) gradient evaluations, 30 years at a million a second; take \
      fewer `steps`, `order` or `seeds`, observe less often, or give the order a smaller size
      """
    case .averageOutOfStep(let rule, let states, let expected):
      """
      the running average \(rule) holds \(states) states where it should hold \(expected): this is a mistake in Backtrail, and \
      nothing was observed of that average; please report it with the command
      """
    }
  }
}
