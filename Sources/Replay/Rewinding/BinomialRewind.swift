/// The optimal way to visit l states, last first, from a root that is held in one of s slots and can be loaded at no
/// cost.
///
/// From the root one advances by some j, saves there, visits the upper l − j states with the s − 1 slots that are
/// left (the one just filled is their root), returns to the root and visits the lower j states with all s slots. The
/// least number of updates T obeys
///
///     T(l, s) = min over 0 < j < l of  j + T(l − j, s − 1) + T(j, s),   T(1, s) = 0,
///
/// and has a closed form. β(s, r) = C(s + r, s) states can be visited if no update is applied more than r times; with
/// the least r such that β(s, r) ≥ l,
///
///     T(l, s) = r l − C(s + r, r − 1) = r l − β(s + 1, r − 1).
///
/// T is convex in l: the states from β(s, r − 1) + 1 to β(s, r) cost r updates each.
///
/// Source: A. Griewank and A. Walther, "Algorithm 799: Revolve", ACM Transactions on Mathematical Software 26 (2000).
enum BinomialRewind {
  /// T(l, s)
  /// - Complexity: O(r), about (s! l)^(1/s); O(1) for s = 1.
  /// - Precondition: s > 0, unless there is only one state.
  static func updates(states l: Int, slots s: Int) -> Int {
    if l <= 1 { return 0 }
    if s == 1 { return l * (l - 1) / 2 }
    var reach = Reach(slots: s)
    while reach.states < l { reach.repeatOnceMore() }
    // β(s + 1, r − 1) = β(s, r) r / (s + 1), but β(s, r) may be far above l; β(s, r − 1) is not.
    return reach.repetitions * l - reach.previousStates * (s + reach.repetitions) / (s + 1)
  }

  /// The number l − j of upper states in an optimal split.
  ///
  /// Every j is optimal for which both parts stay within what their slots reach, β(s, r − 2) ≤ j ≤ β(s, r − 1) and
  /// β(s − 1, r − 1) ≤ l − j ≤ β(s − 1, r). Among these, the choice of Griewank and Walther makes the fewest saves.
  /// - Complexity: O(r)
  /// - Precondition: l > 1, s > 0
  static func upperStates(of l: Int, slots s: Int) -> Int {
    if s == 1 { return 1 }
    var reach = Reach(slots: s)
    while reach.states < l { reach.repeatOnceMore() }
    let r = reach.repetitions
    let middle = Self.reach(slots: s - 2, repetitions: r - 1)
    let lower =
      if l <= reach.previousStates + middle {
        Self.reach(slots: s, repetitions: r - 2)
      } else if l >= reach.states - Self.reach(slots: s - 3, repetitions: r) {
        reach.previousStates
      } else {
        l - Self.reach(slots: s - 1, repetitions: r - 1) - middle
      }
    return l - max(1, lower)
  }

  /// β(s, r) = C(s + r, s): the number of states that s slots reach if no update is applied more than r times; 0 if s
  /// or r is negative.
  /// - Complexity: O(min(s, r))
  static func reach(slots s: Int, repetitions r: Int) -> Int {
    if s < 0 || r < 0 { return 0 }
    var reach = Reach(slots: max(s, r))
    for _ in 0..<min(s, r) { reach.repeatOnceMore() }
    return reach.states
  }

  /// β(s, r) for r = 0, 1, …
  struct Reach {
    let slots: Int
    private(set) var repetitions = 0
    /// β(s, r)
    private(set) var states = 1
    /// β(s, r − 1)
    private(set) var previousStates = 0

    init(slots: Int) {
      self.slots = slots
    }

    mutating func repeatOnceMore() {
      repetitions += 1
      previousStates = states
      // The division is exact: β(s, r) = β(s, r − 1) (s + r) / r.
      states = states * (slots + repetitions) / repetitions
    }
  }
}
