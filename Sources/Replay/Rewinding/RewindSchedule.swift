/// A schedule for visiting the states of a path in reverse with few slots.
///
/// State p of a path is the state after the first p batches of its sequence. Updates cannot be undone, so a rewind
/// runs forward again and again from saved states. State 0 is the start, which is available at no cost from its seed
/// or file. Besides it and the working state, a schedule keeps at most `memorySlots` states in memory and `diskSlots`
/// on disk. Other states of the path may be given too, such as stored ones: if reading one is cheaper than computing
/// it, the states above it are visited from there.
///
///     let schedule = try RewindSchedule(visiting: 0..<101, memorySlots: 8)
///     print(schedule.updates)  // 237
///     for instruction in schedule { print(instruction) }  // start 0, advance 0 45, save memory 0, …, visit 0
///
/// With memory slots alone the number of updates is the least possible: for the states l − 1 … 0 and s = slots + 1 it
/// is r l − C(s + r, r − 1) with the least r such that C(s + r, s) ≥ l (Griewank and Walther 2000; see
/// `BinomialRewind`). This includes the way to state l − 1; no update beyond it is made. With disk slots the time is
/// the least by the given costs, and never more than without disk slots (see `TwoLevelRewind`, also for paths with
/// too many states to find the least time within a second).
///
/// Given states divide the path into legs, each of which is visited on its own with all slots, the last leg first
/// (see `RewindLeg`). If reading a given state costs no more than an update, no other way takes less time.
///
/// Instructions are computed when they are needed. A schedule without disk slots takes hardly any memory, however
/// many states it visits.
public struct RewindSchedule: Sendable {
  /// The positions of the visited states. They are visited last first.
  public let positions: Range<Int>
  /// The schedules of the legs, the lowest leg first.
  private let legs: [RewindLegSchedule]

  /// The largest number of states kept in memory at once: at most the number asked for, and at most as many as are of
  /// use.
  public var memorySlots: Int { legs.reduce(0) { Swift.max($0, $1.memorySlots) } }
  /// The largest number of states kept on disk at once: at most the number asked for, and at most as many as are of
  /// use.
  public var diskSlots: Int { legs.reduce(0) { Swift.max($0, $1.diskSlots) } }
  /// The number of updates applied.
  public var updates: Int { legs.reduce(0) { $0 + $1.updates } }
  /// The number of states written to disk slots.
  public var diskWrites: Int { legs.reduce(0) { $0 + $1.diskWrites } }
  /// The number of states read from disk slots.
  public var diskReads: Int { legs.reduce(0) { $0 + $1.diskReads } }
  /// The duration by the costs the schedule was made for.
  public var seconds: Double { legs.reduce(0) { $0 + $1.seconds } }
  /// The positions of the given states that legs start from, in ascending order, without the start of the path.
  public var givenPositions: [Int] { legs.map(\.leg.origin.position).filter { $0 > 0 } }

  /// The largest number of states of a path, up to which counts do not overflow.
  static let stateLimit = BatchRun.largestBatch

  /// - Parameters:
  ///   - positions: The states to visit. A path of n updates has the states 0 … n.
  ///   - given: States of the path that can be read, besides the start, in any order. Those that are of no use are
  ///     ignored.
  ///   - costs: The costs of an update, and of writing and reading a state on disk. They have no influence without
  ///     disk slots and given states.
  /// - Throws: `RewindError` if `positions` is empty or out of range, if slots are negative, or if disk slots alone
  ///   can't serve so many states.
  /// - Complexity: Negligible without disk slots; otherwise O(l² · `diskSlots`) for l states, up to about a second.
  public init(
    visiting positions: Range<Int>, given: [GivenState] = [], memorySlots: Int, diskSlots: Int = 0,
    costs: SlotCosts = SlotCosts(step: 1)
  ) throws(RewindError) {
    let legs = try Self.legs(positions, given, memorySlots: memorySlots, diskSlots: diskSlots, step: costs.step)
    var schedules: [RewindLegSchedule] = []
    for leg in legs {
      // Stored states often lie at equal distances, so that one schedule serves many legs.
      if let like = schedules.last(where: { $0.leg.hasShape(of: leg) }) {
        schedules.append(like.moved(to: leg))
      } else {
        schedules.append(try RewindLegSchedule(leg, memorySlots: memorySlots, diskSlots: diskSlots, costs: costs))
      }
    }
    self.init(positions: positions, legs: schedules)
  }

  /// The schedule with the fewest updates that the slots allow, however long writing and reading take: the binomial
  /// schedule for all slots together. The states that wait longest are on disk.
  /// - Parameter given: The given states, as for `init`. The cost of reading them is ignored.
  /// - Throws: The errors of `init`.
  /// - Complexity: O(`updates`) with disk slots, because writes and reads are counted by running through the
  ///   schedule.
  public static func fewestUpdates(
    visiting positions: Range<Int>, given: [GivenState] = [], memorySlots: Int, diskSlots: Int = 0
  ) throws(RewindError) -> RewindSchedule {
    let given = given.map { GivenState(position: $0.position) }
    let legs = try Self.legs(positions, given, memorySlots: memorySlots, diskSlots: diskSlots, step: 1)
    // More slots than there are states are of no use, and their sum could overflow.
    let (memory, disk) = (Swift.min(memorySlots, Self.stateLimit), Swift.min(diskSlots, Self.stateLimit))
    return RewindSchedule(
      positions: positions, legs: legs.map { .fewestUpdates($0, memorySlots: memory, diskSlots: disk) })
  }

  private static func legs(
    _ positions: Range<Int>, _ given: [GivenState], memorySlots: Int, diskSlots: Int, step: Double
  ) throws(RewindError) -> [RewindLeg] {
    guard !positions.isEmpty, positions.lowerBound >= 0 else { throw .noStates(positions) }
    guard positions.upperBound <= stateLimit else { throw .tooManyStates(positions.upperBound) }
    guard memorySlots >= 0, diskSlots >= 0 else { throw .negativeSlots(memory: memorySlots, disk: diskSlots) }
    return RewindLeg.legs(
      of: positions, given: given, slots: Swift.min(memorySlots, stateLimit) + Swift.min(diskSlots, stateLimit), step: step)
  }

  private init(positions: Range<Int>, legs: [RewindLegSchedule]) {
    self.positions = positions
    self.legs = legs
  }
}

extension RewindSchedule: Sequence {
  public func makeIterator() -> Instructions { Instructions(legs: legs) }

  /// Computes the instructions of a rewind one at a time.
  public struct Instructions: IteratorProtocol, Sendable {
    /// The schedules of the legs that have not been started, the lowest leg first.
    private var legs: [RewindLegSchedule]
    private var current: RewindLegInstructions?

    fileprivate init(legs: [RewindLegSchedule]) { self.legs = legs }

    public mutating func next() -> RewindInstruction? {
      while true {
        if let instruction = current?.next() { return instruction }
        guard let leg = legs.popLast() else { return nil }
        current = leg.instructions
      }
    }
  }
}
