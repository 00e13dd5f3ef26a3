/// The optimal way to visit the m states of a leg, last first, with S memory slots.
///
/// Each pass begins at the origin, goes to the lower end of the uppermost stretch of states not yet visited, saves
/// there and visits the stretch. With k stretches m_1 … m_k, the uppermost first, `approach` updates from the origin
/// to the lowest state, and the cost c of reading the origin, in updates, this takes
///
///     k · (approach + c) + Σ_q [ (q − 1) m_q + T(m_q, S) ],
///
/// since stretch q is crossed by the q − 1 passes before its own. T is convex, so for a given k the cheapest
/// stretches are found greedily: they contain all states whose marginal cost q − 1 + r is below some v, and as many
/// as are missing of those whose cost is v. The sum is convex in k, because each further stretch offers what the one
/// before offers at a cost larger by one. If `approach` and c are 0, the origin is just one more slot and the sum is
/// T(m, S + 1); see `BinomialRewind`.
struct RewindPasses: Sendable {
  /// The number of updates.
  let updates: Int
  /// The total cost, including that of reading the origin for every pass.
  let cost: Double
  /// The number of states each pass visits, the uppermost pass first. Empty without slots, when every pass visits one
  /// state.
  private let stretches: [Int]

  /// - Parameter step: The cost of an update.
  /// - Complexity: O((v + k) r log k) with r the repetitions of `BinomialRewind`, k ≤ r + 1, and v at most m.
  init(_ leg: RewindLeg, slots: Int, step: Double) {
    let m = leg.positions.count
    let stretches = Self.stretches(of: leg, slots: slots, step: step)
    self.stretches = stretches
    let passes = slots > 0 ? stretches.count : m
    updates =
      if slots == 0 {
        m * leg.approach + m * (m - 1) / 2
      } else if leg.beginsAtOrigin {
        BinomialRewind.updates(states: m, slots: slots + 1)
      } else {
        Self.updates(stretches, approach: leg.approach, slots: slots)
      }
    cost = Double(updates) * step + Double(passes) * leg.origin.cost
  }

  private static func updates(_ stretches: [Int], approach: Int, slots: Int) -> Int {
    stretches.enumerated().reduce(stretches.count * approach) { sum, stretch in
      sum + stretch.offset * stretch.element + BinomialRewind.updates(states: stretch.element, slots: slots)
    }
  }

  private static func stretches(of leg: RewindLeg, slots: Int, step: Double) -> [Int] {
    guard slots > 0 else { return [] }
    let m = leg.positions.count
    guard !leg.beginsAtOrigin else { return stretchesFromFreeStart(states: m, slots: slots) }
    func cost(_ stretches: [Int]) -> Double {
      Double(updates(stretches, approach: leg.approach, slots: slots)) * step + Double(stretches.count) * leg.origin.cost
    }
    // No more passes can pay than with an approach that costs nothing.
    var reach = BinomialRewind.Reach(slots: slots + 1)
    while reach.states < m { reach.repeatOnceMore() }
    var least = 1
    var most = reach.repetitions + 1
    while least < most {
      let middle = (least + most) / 2
      let fewer = stretches(middle, states: m, slots: slots)
      let more = stretches(middle + 1, states: m, slots: slots)
      if cost(fewer) <= cost(more) { most = middle } else { least = middle + 1 }
    }
    return stretches(least, states: m, slots: slots)
  }

  /// The number of states that pass `index`, counted from 0, visits.
  func states(inPass index: Int) -> Int { stretches.isEmpty ? 1 : stretches[index] }

  /// The stretches above the saves that the binomial schedule makes from its root, which is the start.
  private static func stretchesFromFreeStart(states m: Int, slots: Int) -> [Int] {
    var stretches: [Int] = []
    var left = m
    while left > 0 {
      let stretch = left == 1 ? 1 : BinomialRewind.upperStates(of: left, slots: slots + 1)
      stretches.append(stretch)
      left -= stretch
    }
    return stretches
  }

  /// The cheapest `count` stretches, or fewer if more are of no use.
  private static func stretches(_ count: Int, states m: Int, slots: Int) -> [Int] {
    // The largest marginal cost v that is needed. β(s, v) − β(s, v − count) states have it.
    var dearest = 0
    var states = 1
    var reach = BinomialRewind.Reach(slots: slots)
    while states < m {
      dearest += 1
      reach.repeatOnceMore()
      states += reach.states - BinomialRewind.reach(slots: slots, repetitions: dearest - count)
    }
    var stretches = (1...count).map { BinomialRewind.reach(slots: slots, repetitions: dearest - $0) }
    var missing = m - stretches.reduce(0, +)
    for index in stretches.indices {
      let reached = BinomialRewind.reach(slots: slots, repetitions: dearest - index)
      let extra = min(missing, reached - stretches[index])
      stretches[index] += extra
      missing -= extra
    }
    return stretches.filter { $0 > 0 }
  }
}
