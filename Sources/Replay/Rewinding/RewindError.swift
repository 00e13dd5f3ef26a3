/// An error in planning or executing a rewind.
public enum RewindError: Error, Equatable, CustomStringConvertible {
  case noStates(Range<Int>)
  case tooManyStates(Int)
  case negativeSlots(memory: Int, disk: Int)
  case memorySlotNeeded(states: Int, limit: Int)
  case storageMissing
  case noGivenState(Int)
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
    case .noGivenState(let position):
      "the schedule begins at state \(position), but nothing was given to read it"
    case .sequenceTooShort(let updates, let needed):
      "the schedule visits state \(needed), but the batch sequence has \(updates) updates only"
    }
  }
}
