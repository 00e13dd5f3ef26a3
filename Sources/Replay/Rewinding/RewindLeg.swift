/// A state of a path that can be read instead of computed, because it was stored.
public struct GivenState: Hashable, Sendable {
  /// The number of updates the state has had.
  public let position: Int
  /// The cost of reading the state, in the unit of the schedule's costs.
  public let cost: Double

  /// The initial state, which can be read at no cost.
  static let start = GivenState(position: 0)

  public init(position: Int, cost: Double = 0) {
    precondition(position >= 0 && cost.isFinite && cost >= 0, "a state has had some updates, and costs are not negative")
    self.position = position
    self.cost = cost
  }
}

/// Successive states of a path that are visited starting from one given state at or below them.
struct RewindLeg: Hashable, Sendable {
  let positions: Range<Int>
  let origin: GivenState

  /// The number of updates from the origin to the lowest of the states.
  var approach: Int { positions.lowerBound - origin.position }

  /// Whether the origin is the lowest of the states and returning to it costs nothing.
  var beginsAtOrigin: Bool { approach == 0 && origin.cost == 0 }

  /// Whether a schedule for the other leg, shifted along the path, is one for this leg.
  func hasShape(of other: RewindLeg) -> Bool {
    positions.count == other.positions.count && approach == other.approach && origin.cost == other.origin.cost
  }

  /// The number of slots that are of use. The uppermost state is visited when it is reached, and the origin may need
  /// no slot.
  var usefulSlots: Int { max(0, positions.count - (beginsAtOrigin ? 2 : 1)) }
}

extension RewindLeg {
  /// Divides `positions` at given states so that visiting the legs one after the other, the last first and each with
  /// all slots, takes the least time.
  ///
  /// Not every given state is of use. One that costs as much as computing it from the one before is not; and since
  /// slots hold states that a pass goes by, one pass over two legs may take less time than starting each leg at its
  /// own given state. With B(i) the least cost of all states below the i-th given state g_i, and F the cost of a leg,
  ///
  ///     B(i) = min over j < i of  B(j) + F(g_j ..< g_i).
  ///
  /// F grows faster than the length of the leg, so if a leg is better divided in two, longer ones with the same end
  /// are too, and the search for j stops there. The longest leg is always tried. The costs are computed as if all
  /// slots were in memory.
  ///
  /// - Parameter slots: The number of slots of all tiers together.
  /// - Returns: The legs, lowest first.
  static func legs(of positions: Range<Int>, given: [GivenState], slots: Int, step: Double) -> [RewindLeg] {
    let (origin, inside) = useful(given, for: positions, step: step)
    // The positions where legs may begin, and the states they start from. The lowest leg may begin above its origin.
    let begins = [positions.lowerBound] + inside.map(\.position) + [positions.upperBound]
    let origins = [origin] + inside
    func cost(_ first: Int, _ end: Int) -> Double {
      let leg = RewindLeg(positions: begins[first]..<begins[end], origin: origins[first])
      return RewindPasses(leg, slots: min(slots, leg.usefulSlots), step: step).cost
    }
    var least = [0.0]
    var lastBegin = [0]
    for end in 1..<begins.count {
      var best = (cost: Double.infinity, begin: end - 1)
      var begin = end - 1
      while begin >= 0 {
        let whole = cost(begin, end)
        if least[begin] + whole < best.cost { best = (least[begin] + whole, begin) }
        // All longer legs are better divided where the best one begins.
        let isBetterCut = best.begin > begin && cost(begin, best.begin) + cost(best.begin, end) <= whole
        begin = isBetterCut && begin > 0 ? 0 : begin - 1
      }
      least.append(best.cost)
      lastBegin.append(best.begin)
    }
    var legs: [RewindLeg] = []
    var end = begins.count - 1
    while end > 0 {
      let begin = lastBegin[end]
      legs.append(RewindLeg(positions: begins[begin]..<begins[end], origin: origins[begin]))
      end = begin
    }
    return legs.reversed()
  }

  /// The given state from which the lowest state is reached in the least time, and those above that cost less than
  /// computing them.
  private static func useful(
    _ given: [GivenState], for positions: Range<Int>, step: Double
  ) -> (origin: GivenState, inside: [GivenState]) {
    var origin = GivenState.start
    var inside: [GivenState] = []
    for state in given.sorted(by: { ($0.position, $0.cost) < ($1.position, $1.cost) }) where state.position < positions.upperBound {
      let before = inside.last ?? origin
      guard state.cost < before.cost + Double(state.position - before.position) * step else { continue }
      if state.position <= positions.lowerBound { origin = state } else { inside.append(state) }
    }
    return (origin, inside)
  }
}
