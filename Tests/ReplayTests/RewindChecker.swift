import Replay

/// Executes a rewind while tracking only the positions of the slots and the working state, without numbers and
/// without the engine.
struct RewindChecker {
  enum Failure: Error {
    case emptySlot(Int, SlotTier), occupiedSlot(Int, SlotTier), noSuchSlot(Int, SlotTier)
    case notGiven(Int)
    case wrongAdvance(Range<Int>, from: Int?), wrongVisit(Int, at: Int?), slotsLeft, incomplete
  }

  private(set) var updates = 0
  private(set) var saves = 0
  private(set) var diskWrites = 0
  private(set) var diskReads = 0
  /// The given states that were read, without the start.
  private(set) var givenReads = 0
  private var slots: [SlotTier: [Int: Int]] = [:]
  private let slotCounts: [SlotTier: Int]
  private let given: Set<Int>
  private var working: Int?
  private var expected: [Int]

  /// Runs through the whole schedule.
  init(_ schedule: RewindSchedule, given: Set<Int> = []) throws {
    self.given = given
    slotCounts = [.memory: schedule.memorySlots, .disk: schedule.diskSlots]
    expected = Array(schedule.positions)
    for instruction in schedule { try follow(instruction) }
    guard expected.isEmpty else { throw Failure.incomplete }
    guard slots.values.allSatisfy(\.isEmpty) else { throw Failure.slotsLeft }
  }

  private mutating func follow(_ instruction: RewindInstruction) throws {
    switch instruction {
    case .start(let position):
      guard position == 0 || given.contains(position) else { throw Failure.notGiven(position) }
      working = position
      givenReads += position == 0 ? 0 : 1
    case .load(let slot, let tier):
      guard let position = slots[tier]?[slot] else { throw Failure.emptySlot(slot, tier) }
      working = position
      if tier == .disk { diskReads += 1 }
    case .advance(let positions):
      guard working == positions.lowerBound, !positions.isEmpty else {
        throw Failure.wrongAdvance(positions, from: working)
      }
      working = positions.upperBound
      updates += positions.count
    case .save(let slot, let tier):
      guard let count = slotCounts[tier], (0..<count).contains(slot) else { throw Failure.noSuchSlot(slot, tier) }
      guard slots[tier]?[slot] == nil else { throw Failure.occupiedSlot(slot, tier) }
      slots[tier, default: [:]][slot] = working
      saves += 1
      if tier == .disk { diskWrites += 1 }
    case .release(let slot, let tier):
      guard slots[tier]?.removeValue(forKey: slot) != nil else { throw Failure.emptySlot(slot, tier) }
    case .visit(let position):
      guard working == position, expected.popLast() == position else {
        throw Failure.wrongVisit(position, at: working)
      }
    }
  }
}

/// The least time of any rewind with these slots, found by Dijkstra's algorithm over all contents of slots and
/// working state. States may be saved, dropped and loaded at any time.
func leastRewindSeconds(
  _ positions: Range<Int>, given: [GivenState] = [], memorySlots: Int, diskSlots: Int, costs: SlotCosts
) -> Double {
  /// Bit p of a set of slots tells whether state p is held.
  struct Situation: Hashable {
    var working = 0
    var memory = 0
    var disk = 0
    /// The next state to be visited.
    var next: Int
  }
  let beginning = Situation(next: positions.upperBound - 1)
  var best = [beginning: 0.0]
  // Few different times occur, so the queue has one list per time.
  var open = [0.0: [beginning]]
  while let seconds = open.keys.min() {
    guard let situation = open[seconds]?.popLast() else {
      open[seconds] = nil
      continue
    }
    guard best[situation] == seconds else { continue }
    if situation.next < positions.lowerBound { return seconds }
    func reach(_ cost: Double, _ change: (inout Situation) -> Void) {
      var reached = situation
      change(&reached)
      guard seconds + cost < best[reached] ?? .infinity else { return }
      best[reached] = seconds + cost
      open[seconds + cost, default: []].append(reached)
    }
    if situation.working == situation.next {
      reach(0) { $0.next -= 1 }
    } else if situation.working < situation.next {
      reach(costs.step) { $0.working += 1 }
      let bit = 1 << situation.working
      if situation.memory.nonzeroBitCount < memorySlots { reach(0) { $0.memory |= bit } }
      if situation.disk.nonzeroBitCount < diskSlots { reach(costs.write) { $0.disk |= bit } }
    }
    reach(0) { $0.working = 0 }
    for state in given where state.position != situation.working { reach(state.cost) { $0.working = state.position } }
    for position in 1..<max(2, positions.upperBound) {
      let bit = 1 << position
      if situation.memory & bit != 0 {
        reach(0) { $0.working = position }
        reach(0) { $0.memory ^= bit }
      }
      if situation.disk & bit != 0 {
        reach(costs.read) { $0.working = position }
        reach(0) { $0.disk ^= bit }
      }
    }
  }
  return .infinity
}
