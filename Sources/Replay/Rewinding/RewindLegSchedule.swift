/// A schedule for visiting the states of one leg, last first, with few slots.
struct RewindLegSchedule: Sendable {
  private(set) var leg: RewindLeg
  /// The largest numbers of states kept in memory and on disk at once.
  let memorySlots: Int
  let diskSlots: Int
  let updates: Int
  let diskWrites: Int
  let diskReads: Int
  /// The duration by the costs the schedule was made for.
  let seconds: Double
  private let method: Method

  enum Method: Sendable {
    case memory(RewindPasses)
    case twoLevels(TwoLevelRewind)
  }

  /// Makes the schedule that takes the least time.
  /// - Throws: `RewindError.memorySlotNeeded` if there are too many states to plan with disk slots alone.
  init(_ leg: RewindLeg, memorySlots: Int, diskSlots: Int, costs: SlotCosts) throws(RewindError) {
    let states = leg.positions.count
    let slots = min(memorySlots, leg.usefulSlots)
    let inMemory = RewindLegSchedule(leg, slots: slots, step: costs.step)
    guard diskSlots > 0, slots < leg.usefulSlots else {
      self = inMemory
      return
    }
    guard slots > 0 || states <= TwoLevelRewind.cellLimit else {
      throw .memorySlotNeeded(states: states, limit: TwoLevelRewind.cellLimit)
    }
    let levels = TwoLevelRewind(
      leg, memorySlots: slots, diskSlots: min(diskSlots, leg.usefulSlots), costs: costs)
    let onBothLevels = RewindLegSchedule(
      leg, memorySlots: slots, diskSlots: levels.diskSlots, method: .twoLevels(levels), costs: costs)
    self = onBothLevels.seconds < inMemory.seconds ? onBothLevels : inMemory
  }

  /// The schedule with the fewest updates that all slots together allow. The states that wait longest are on disk.
  static func fewestUpdates(_ leg: RewindLeg, memorySlots: Int, diskSlots: Int) -> RewindLegSchedule {
    let all = RewindLegSchedule(leg, slots: min(memorySlots + diskSlots, leg.usefulSlots), step: 1)
    guard diskSlots > 0 else { return all }
    let inMemory = min(memorySlots, all.memorySlots)
    return RewindLegSchedule(
      leg, memorySlots: inMemory, diskSlots: all.memorySlots - inMemory, method: all.method, costs: SlotCosts(step: 1))
  }

  /// Makes the schedule with the fewest updates in memory alone.
  private init(_ leg: RewindLeg, slots: Int, step: Double) {
    let passes = RewindPasses(leg, slots: slots, step: step)
    self.leg = leg
    memorySlots = slots
    diskSlots = 0
    updates = passes.updates
    diskWrites = 0
    diskReads = 0
    seconds = passes.cost
    method = .memory(passes)
  }

  /// Counts the work of the schedule by running through its instructions.
  private init(_ leg: RewindLeg, memorySlots: Int, diskSlots: Int, method: Method, costs: SlotCosts) {
    var updates = 0
    var writes = 0
    var reads = 0
    var starts = 0
    let instructions = RewindLegInstructions(leg, memorySlots: memorySlots, firstOnDisk: diskSlots, method: method)
    for instruction in IteratorSequence(instructions) {
      switch instruction {
      case .start: starts += 1
      case .advance(let positions): updates += positions.count
      case .save(_, .disk): writes += 1
      case .load(_, .disk): reads += 1
      default: break
      }
    }
    self.leg = leg
    self.memorySlots = memorySlots
    self.diskSlots = diskSlots
    self.updates = updates
    diskWrites = writes
    diskReads = reads
    seconds =
      Double(updates) * costs.step + Double(writes) * costs.write + Double(reads) * costs.read
      + Double(starts) * leg.origin.cost
    self.method = method
  }

  /// The same schedule for another leg of the same shape.
  func moved(to leg: RewindLeg) -> RewindLegSchedule {
    var schedule = self
    schedule.leg = leg
    return schedule
  }

  var instructions: RewindLegInstructions {
    RewindLegInstructions(leg, memorySlots: memorySlots, firstOnDisk: diskSlots, method: method)
  }
}
