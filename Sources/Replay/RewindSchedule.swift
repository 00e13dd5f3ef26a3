/// How to visit the states of a path in reverse, from what few slots can hold.
///
/// State p of a path is the state after the first p batches of its sequence. Updates cannot be undone, so a rewind
/// runs forward again and again from saved states. State 0 is the start, given back by seed or file for nothing;
/// besides it and the working state a schedule keeps at most `memorySlots` states in memory and `diskSlots` on disk.
///
///     let schedule = try RewindSchedule(visiting: 0..<101, memorySlots: 8)
///     print(schedule.updates)  // 237
///     for instruction in schedule { print(instruction) }  // start, advance 0 45, save memory 0, …, visit 0
///
/// With memory alone the number of updates is the least possible: for the states l − 1 … 0 and s = slots + 1,
/// it is r l − C(s + r, r − 1) with r the least such that C(s + r, s) ≥ l (Griewank and Walther 2000; see
/// `BinomialRewind`). The way to state l − 1 is counted; no update beyond it is made. With disk slots the time is the
/// least by the costs given, and never more than without them (see `TwoLevelRewind`, also for what is done where there
/// are too many states to find the least in a second).
///
/// Instructions are made when asked for. A schedule without disk slots takes hardly any room, however many states it
/// visits.
public struct RewindSchedule: Sendable {
  /// The states it visits, last first.
  public let positions: Range<Int>
  /// States it keeps in memory at once, at most; never more than asked for, nor than can be of use.
  public let memorySlots: Int
  /// States it keeps on disk at once, at most; never more than asked for, nor than can be of use.
  public let diskSlots: Int
  /// Updates it applies.
  public let updates: Int
  /// States it writes to disk.
  public let diskWrites: Int
  /// States it reads from disk.
  public let diskReads: Int
  /// What it takes by the costs it was made for.
  public let seconds: Double
  let method: Method

  enum Method: Sendable {
    case memory(RewindPasses)
    case twoLevels(TwoLevelRewind)
  }

  /// The states of a path are counted without fear of overflow up to here.
  static let stateLimit = BatchRun.largestBatch

  /// - Parameters:
  ///   - positions: the states to visit. A path of n updates has the states 0 … n.
  ///   - memorySlots: states that are kept in memory, besides the start and the one at hand.
  ///   - diskSlots: states that are kept on disk.
  ///   - costs: of a step, and of writing and reading a state on disk. Without disk slots they decide nothing.
  /// - Throws: `RewindError` when `positions` is empty or reaches below 0 or too far, or slots are negative.
  /// - Complexity: without disk slots next to nothing; otherwise O(l² · `diskSlots`) for l states, up to about a
  ///   second.
  public init(
    visiting positions: Range<Int>, memorySlots: Int, diskSlots: Int = 0, costs: SlotCosts = SlotCosts(step: 1)
  ) throws(RewindError) {
    guard !positions.isEmpty, positions.lowerBound >= 0 else { throw .noStates(positions) }
    guard positions.upperBound <= Self.stateLimit else { throw .tooManyStates(positions.upperBound) }
    guard memorySlots >= 0, diskSlots >= 0 else { throw .negativeSlots(memory: memorySlots, disk: diskSlots) }
    let states = positions.count
    let approach = positions.lowerBound
    // The uppermost state is visited as it is reached, and the start need not be saved.
    let usefulSlots = Swift.max(0, states - (approach == 0 ? 2 : 1))
    let slots = Swift.min(memorySlots, usefulSlots)
    let passes = RewindPasses(states: states, approach: approach, slots: slots)
    let inMemory = RewindSchedule(
      positions: positions, memorySlots: slots, diskSlots: 0, updates: passes.updates,
      seconds: Double(passes.updates) * costs.step, method: .memory(passes))
    guard diskSlots > 0, slots < usefulSlots else {
      self = inMemory
      return
    }
    guard slots > 0 || states <= TwoLevelRewind.cellLimit else {
      throw .memorySlotNeeded(states: states, limit: TwoLevelRewind.cellLimit)
    }
    let levels = TwoLevelRewind(
      states: states, approach: approach, memorySlots: slots, diskSlots: Swift.min(diskSlots, usefulSlots), costs: costs)
    let onBothLevels = RewindSchedule(
      positions: positions, memorySlots: slots, diskSlots: levels.diskSlots, method: .twoLevels(levels), costs: costs)
    self = onBothLevels.seconds < inMemory.seconds ? onBothLevels : inMemory
  }

  /// The schedule with the fewest updates that so many slots allow, whatever writing and reading take: the binomial one for
  /// all of them together. The states that wait longest are on disk.
  /// - Throws: as `init` does.
  /// - Complexity: O(`updates`) with disk slots, whose writes and reads are counted by going through it.
  public static func fewestUpdates(
    visiting positions: Range<Int>, memorySlots: Int, diskSlots: Int = 0
  ) throws(RewindError) -> RewindSchedule {
    guard memorySlots >= 0, diskSlots >= 0 else { throw .negativeSlots(memory: memorySlots, disk: diskSlots) }
    // More than there are states are of no use, and their sum could overflow.
    let limit = Self.stateLimit
    let onDisk = Swift.min(diskSlots, limit)
    let all = try RewindSchedule(visiting: positions, memorySlots: Swift.min(memorySlots, limit) + onDisk)
    guard onDisk > 0, case .memory = all.method else { return all }
    let inMemory = Swift.min(memorySlots, all.memorySlots)
    return RewindSchedule(
      positions: positions, memorySlots: inMemory, diskSlots: all.memorySlots - inMemory, method: all.method,
      costs: SlotCosts(step: 1))
  }

  private init(
    positions: Range<Int>, memorySlots: Int, diskSlots: Int, updates: Int, diskWrites: Int = 0, diskReads: Int = 0,
    seconds: Double, method: Method
  ) {
    self.positions = positions
    self.memorySlots = memorySlots
    self.diskSlots = diskSlots
    self.updates = updates
    self.diskWrites = diskWrites
    self.diskReads = diskReads
    self.seconds = seconds
    self.method = method
  }

  /// Counts what the schedule does by going through it.
  private init(positions: Range<Int>, memorySlots: Int, diskSlots: Int, method: Method, costs: SlotCosts) {
    var updates = 0
    var writes = 0
    var reads = 0
    let instructions = Instructions(
      positions: positions, memorySlots: memorySlots, firstOnDisk: diskSlots, method: method)
    for instruction in IteratorSequence(instructions) {
      switch instruction {
      case .advance(let positions): updates += positions.count
      case .save(_, .disk): writes += 1
      case .load(_, .disk): reads += 1
      default: break
      }
    }
    self.init(
      positions: positions, memorySlots: memorySlots, diskSlots: diskSlots, updates: updates,
      diskWrites: writes, diskReads: reads,
      seconds: Double(updates) * costs.step + Double(writes) * costs.write + Double(reads) * costs.read,
      method: method)
  }
}

extension RewindSchedule: Sequence {
  public func makeIterator() -> Instructions {
    Instructions(positions: positions, memorySlots: memorySlots, firstOnDisk: diskSlots, method: method)
  }
}

/// Why there is no rewind as it was asked for.
public enum RewindError: Error, Equatable, CustomStringConvertible {
  case noStates(Range<Int>)
  case tooManyStates(Int)
  case negativeSlots(memory: Int, disk: Int)
  case memorySlotNeeded(states: Int, limit: Int)
  case storageMissing
  case sequenceTooShort(updates: Int, needed: Int)

  public var description: String {
    switch self {
    case .noStates(let positions):
      "there are no states from \(positions.upperBound - 1) down to \(positions.lowerBound); a path begins with state 0"
    case .tooManyStates(let count):
      "a path of \(count) states is too long to rewind; it can have \(RewindSchedule.stateLimit)"
    case .negativeSlots(let memory, let disk):
      "a rewind cannot have \(memory) slots in memory and \(disk) on disk; give 0 or more"
    case .memorySlotNeeded(let states, let limit):
      "rewinding \(states) states with disk slots needs a slot in memory as well; without one at most \(limit) can be planned"
    case .storageMissing:
      "the schedule keeps states on disk, but no storage was given for them"
    case .sequenceTooShort(let updates, let needed):
      "the schedule visits state \(needed), but the batch sequence has \(updates) updates only"
    }
  }
}
