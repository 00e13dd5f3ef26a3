/// How to visit the states of a path in reverse, from what few slots can hold.
///
/// State p of a path is the state after the first p batches of its sequence. Updates cannot be undone, so a rewind
/// runs forward again and again from saved states. State 0 is the start, given back by seed or file for nothing;
/// besides it and the working state a schedule keeps at most `memorySlots` states in memory and `diskSlots` on disk. Other
/// states of the path may be given too, such as stored ones: where reading one is cheaper than computing it, the states above
/// it are visited from there.
///
///     let schedule = try RewindSchedule(visiting: 0..<101, memorySlots: 8)
///     print(schedule.updates)  // 237
///     for instruction in schedule { print(instruction) }  // start 0, advance 0 45, save memory 0, …, visit 0
///
/// With memory alone the number of updates is the least possible: for the states l − 1 … 0 and s = slots + 1,
/// it is r l − C(s + r, r − 1) with r the least such that C(s + r, s) ≥ l (Griewank and Walther 2000; see
/// `BinomialRewind`). The way to state l − 1 is counted; no update beyond it is made. With disk slots the time is the
/// least by the costs given, and never more than without them (see `TwoLevelRewind`, also for what is done where there
/// are too many states to find the least in a second).
///
/// With given states the path falls into legs, each visited on its own with all slots, the last first (see `RewindLeg`).
/// Where reading a given state costs no more than an update, no other way takes less.
///
/// Instructions are made when asked for. A schedule without disk slots takes hardly any room, however many states it
/// visits.
public struct RewindSchedule: Sendable {
  /// The states it visits, last first.
  public let positions: Range<Int>
  /// Lowest first.
  private let legs: [RewindLegSchedule]

  /// States it keeps in memory at once, at most; never more than asked for, nor than can be of use.
  public var memorySlots: Int { legs.reduce(0) { Swift.max($0, $1.memorySlots) } }
  /// States it keeps on disk at once, at most; never more than asked for, nor than can be of use.
  public var diskSlots: Int { legs.reduce(0) { Swift.max($0, $1.diskSlots) } }
  /// Updates it applies.
  public var updates: Int { legs.reduce(0) { $0 + $1.updates } }
  /// States it writes to disk slots.
  public var diskWrites: Int { legs.reduce(0) { $0 + $1.diskWrites } }
  /// States it reads from disk slots.
  public var diskReads: Int { legs.reduce(0) { $0 + $1.diskReads } }
  /// What it takes by the costs it was made for.
  public var seconds: Double { legs.reduce(0) { $0 + $1.seconds } }
  /// The positions of the given states it begins at, ascending; the start is none of them.
  public var givenPositions: [Int] { legs.map(\.leg.origin.position).filter { $0 > 0 } }

  /// The states of a path are counted without fear of overflow up to here.
  static let stateLimit = BatchRun.largestBatch

  /// - Parameters:
  ///   - positions: the states to visit. A path of n updates has the states 0 … n.
  ///   - given: states of the path that can be read, besides the start, in any order. Those that are of no use are left aside.
  ///   - memorySlots: states that are kept in memory, besides the start and the one at hand.
  ///   - diskSlots: states that are kept on disk.
  ///   - costs: of a step, and of writing and reading a state on disk. Without disk slots and given states they decide nothing.
  /// - Throws: `RewindError` when `positions` is empty or reaches below 0 or too far, or slots are negative.
  /// - Complexity: without disk slots next to nothing; otherwise O(l² · `diskSlots`) for l states, up to about a
  ///   second.
  public init(
    visiting positions: Range<Int>, given: [GivenState] = [], memorySlots: Int, diskSlots: Int = 0,
    costs: SlotCosts = SlotCosts(step: 1)
  ) throws(RewindError) {
    let legs = try Self.legs(positions, given, memorySlots: memorySlots, diskSlots: diskSlots, step: costs.step)
    var schedules: [RewindLegSchedule] = []
    for leg in legs {
      // Stored states often lie at equal distances, and then one schedule serves many legs.
      if let like = schedules.last(where: { $0.leg.hasShape(of: leg) }) {
        schedules.append(like.moved(to: leg))
      } else {
        schedules.append(try RewindLegSchedule(leg, memorySlots: memorySlots, diskSlots: diskSlots, costs: costs))
      }
    }
    self.init(positions: positions, legs: schedules)
  }

  /// The schedule with the fewest updates that so many slots allow, whatever writing and reading take: the binomial one for
  /// all of them together. The states that wait longest are on disk.
  /// - Parameters:
  ///   - positions: as for `init`.
  ///   - given: as for `init`; what reading them costs counts for nothing.
  ///   - memorySlots: states that are kept in memory, besides the start and the one at hand.
  ///   - diskSlots: states that are kept on disk.
  /// - Throws: as `init` does.
  /// - Complexity: O(`updates`) with disk slots, whose writes and reads are counted by going through it.
  public static func fewestUpdates(
    visiting positions: Range<Int>, given: [GivenState] = [], memorySlots: Int, diskSlots: Int = 0
  ) throws(RewindError) -> RewindSchedule {
    let given = given.map { GivenState(position: $0.position) }
    let legs = try Self.legs(positions, given, memorySlots: memorySlots, diskSlots: diskSlots, step: 1)
    // More than there are states are of no use, and their sum could overflow.
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

  /// Makes the instructions of a rewind one by one.
  public struct Instructions: IteratorProtocol, Sendable {
    /// Those that have not been begun, lowest first.
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
