import Replay
import TestSupport
import Testing

/// r l − C(s + r, r − 1) with s = slots + 1 and the least r such that C(s + r, s) ≥ l.
private func formula(states l: Int, slots: Int) -> Int {
  func choose(_ n: Int, _ k: Int) -> Int {
    k < 0 ? 0 : (0..<min(k, n - k)).reduce(1) { $0 * (n - $1) / ($1 + 1) }
  }
  let s = slots + 1
  var r = 0
  while choose(s + r, s) < l { r += 1 }
  return r * l - choose(s + r, r - 1)
}

/// The least number of updates for l states with s slots, including that of their root, by the recursion itself.
private func leastUpdates(upTo l: Int, slots s: Int) -> [[Int]] {
  // Without a free slot, every state is reached from the root.
  var least = [(0...l).map { $0 * ($0 - 1) / 2 }]
  for _ in 1..<s {
    var more = [0, 0]
    for states in 2...l {
      more.append((1..<states).map { $0 + least[least.count - 1][states - $0] + more[$0] }.min() ?? 0)
    }
    least.append(more)
  }
  return least
}

@Suite struct RewindScheduleTests {
  @Test func knownCount() throws {
    #expect(try RewindSchedule(visiting: 0..<101, memorySlots: 8).updates == 237)
  }

  @Test func smallSchedulesAreCompleteAndFollowTheFormula() throws {
    let least = leastUpdates(upTo: 60, slots: 12)
    for states in 1...60 {
      for slots in 0...11 {
        let schedule = try RewindSchedule(visiting: 0..<states, memorySlots: slots)
        let checker = try RewindChecker(schedule)
        #expect(schedule.memorySlots <= slots && schedule.diskSlots == 0)
        #expect(schedule.updates == formula(states: states, slots: slots), "\(states) states, \(slots) slots")
        #expect(checker.updates == schedule.updates)
        #expect(least[slots][states] == schedule.updates)
        #expect(schedule.seconds == Double(schedule.updates))
      }
    }
  }

  /// The schedule is among those with the fewest saves of all schedules with the fewest updates.
  @Test func noSaveIsIdle() throws {
    let updates = leastUpdates(upTo: 60, slots: 9)
    var fewest = [Array(repeating: 0, count: 61)]
    for slots in 1...8 {
      var more = [0, 0]
      for states in 2...60 {
        let splits = (1..<states).filter {
          $0 + updates[slots - 1][states - $0] + updates[slots][$0] == updates[slots][states]
        }
        let saves = splits.map { ($0 < states - 1 ? 1 : 0) + fewest[slots - 1][states - $0] + more[$0] }
        more.append(saves.min() ?? 0)
        let schedule = try RewindSchedule(visiting: 0..<states, memorySlots: slots)
        #expect(try RewindChecker(schedule).saves == more[states], "\(states) states, \(slots) slots")
      }
      fewest.append(more)
    }
  }

  @Test func longSchedulesFollowTheFormula() throws {
    for states in [100, 999, 1000, 4095, 4096, 5000] {
      for slots in [0, 1, 2, 3, 5, 8, 13, 50, 1000, 10_000] {
        let schedule = try RewindSchedule(visiting: 0..<states, memorySlots: slots)
        #expect(schedule.updates == formula(states: states, slots: slots), "\(states) states, \(slots) slots")
        #expect(try RewindChecker(schedule).updates == schedule.updates)
      }
    }
  }

  @Test(arguments: [1, 8, 30, 999_999])
  func aMillionStates(slots: Int) throws {
    let schedule = try RewindSchedule(visiting: 0..<1_000_000, memorySlots: slots)
    // With a slot for every state, each update is applied once.
    #expect(schedule.updates == (slots == 999_999 ? 999_999 : formula(states: 1_000_000, slots: slots)))
    #expect(try RewindChecker(schedule).updates == schedule.updates)
  }

  /// Visits that end above the start.
  @Test func partsOfAPathAreVisitedWithTheFewestUpdates() throws {
    for lower in 0...30 {
      for count in 1...40 {
        for slots in 0...4 {
          let schedule = try RewindSchedule(visiting: lower..<lower + count, memorySlots: slots)
          #expect(try RewindChecker(schedule).updates == schedule.updates)
          #expect(schedule.memorySlots <= slots)
          #expect(schedule.updates == leastFromAfar(count, approach: lower, slots: slots)[count])
        }
      }
    }
    let far = try RewindSchedule(visiting: 900_000..<1_000_000, memorySlots: 3)
    #expect(try RewindChecker(far).updates == far.updates)
  }

  /// The least updates if each pass goes from the start and saves at the lower end of what it visits.
  private func leastFromAfar(_ count: Int, approach: Int, slots: Int) -> [Int] {
    let upper = slots == 0 ? [0, 0] : leastUpdates(upTo: max(2, count), slots: slots)[slots - 1]
    var least = [0]
    for states in 1...count {
      let ways = (0..<states).compactMap { lower in
        slots == 0 && states - lower > 1 ? nil : approach + lower + least[lower] + upper[states - lower]
      }
      least.append(ways.min() ?? 0)
    }
    return least
  }

  @Test func withOneLevelNoOtherWayIsFaster() throws {
    for lower in 0...2 {
      for count in 1...8 {
        for slots in 0...3 {
          let positions = lower..<lower + count
          let costs = SlotCosts(step: 1)
          let least = leastRewindSeconds(positions, memorySlots: slots, diskSlots: 0, costs: costs)
          #expect(try RewindSchedule(visiting: positions, memorySlots: slots).seconds == least)
        }
      }
    }
  }

  @Test(arguments: [(0, 0), (0.25, 0.25), (1, 0.5), (2, 1), (0.5, 2), (3, 3), (8, 0.125), (0, 5)])
  func withTwoLevelsNoOtherWayIsFaster(write: Double, read: Double) throws {
    let costs = SlotCosts(step: 1, write: write, read: read)
    for lower in 0...2 {
      for count in 1...8 {
        for slots in 0...2 {
          for disk in 1...2 {
            let positions = lower..<lower + count
            let schedule = try RewindSchedule(visiting: positions, memorySlots: slots, diskSlots: disk, costs: costs)
            let least = leastRewindSeconds(positions, memorySlots: slots, diskSlots: disk, costs: costs)
            #expect(schedule.seconds == least, "\(positions), \(slots) in memory, \(disk) on disk")
            try check(schedule, costs)
          }
        }
      }
    }
  }

  @Test func diskSlotsNeverCostTime() throws {
    var random = SplitMix(state: 3)
    for _ in 0..<200 {
      let lower = Int.random(in: 0...300, using: &random)
      let positions = lower..<lower + Int.random(in: 1...400, using: &random)
      let costs = SlotCosts(
        step: 0.001, write: Double.random(in: 0...0.1, using: &random), read: Double.random(in: 0...0.1, using: &random))
      let slots = Int.random(in: 0...6, using: &random)
      var previous = try RewindSchedule(visiting: positions, memorySlots: slots, costs: costs).seconds
      for disk in [1, 2, 5, 1000] {
        let schedule = try RewindSchedule(visiting: positions, memorySlots: slots, diskSlots: disk, costs: costs)
        #expect(schedule.diskSlots <= disk)
        // The same costs are summed in a different order.
        #expect(schedule.seconds <= previous * (1 + 1e-12))
        try check(schedule, costs)
        previous = schedule.seconds
      }
    }
  }

  @Test func freeDiskSlotsAreMemorySlots() throws {
    for states in [5, 60, 300] {
      let both = try RewindSchedule(visiting: 0..<states, memorySlots: 2, diskSlots: 3)
      #expect(both.updates == formula(states: states, slots: 5))
    }
  }

  @Test func theFewestUpdatesAreThoseOfAllSlotsTogether() throws {
    for positions in [0..<1, 0..<2, 0..<60, 7..<60, 0..<1000] {
      for slots in [0, 1, 2, 5, 58, Int.max] {
        for disk in [0, 1, 3, 8, 2000, Int.max] {
          let schedule = try RewindSchedule.fewestUpdates(visiting: positions, memorySlots: slots, diskSlots: disk)
          let all = min(slots, 5000) + min(disk, 5000)
          #expect(schedule.updates == (try RewindSchedule(visiting: positions, memorySlots: all).updates))
          let checker = try RewindChecker(schedule)
          #expect(checker.updates == schedule.updates && checker.diskWrites == schedule.diskWrites)
          #expect(checker.diskReads == schedule.diskReads)
          #expect(schedule.memorySlots <= slots && schedule.diskSlots <= disk)
          if all > 1000 { #expect(schedule.updates == positions.upperBound - 1) }
        }
      }
    }
    // The slots filled first wait longest, so they are the ones on disk.
    let schedule = try RewindSchedule.fewestUpdates(visiting: 0..<1000, memorySlots: 8, diskSlots: 8)
    #expect(schedule.diskWrites * 4 < (try RewindChecker(schedule).saves))
    #expect(throws: RewindError.negativeSlots(memory: 3, disk: -1)) {
      try RewindSchedule.fewestUpdates(visiting: 0..<9, memorySlots: 3, diskSlots: -1)
    }
  }

  /// Many states are planned in cells.
  @Test func longTwoLevelSchedules() throws {
    let costs = SlotCosts(step: 0.001, write: 0.05, read: 0.02)
    for positions in [0..<5000, 0..<100_003, 7000..<50_000] {
      let schedule = try RewindSchedule(visiting: positions, memorySlots: 4, diskSlots: 6, costs: costs)
      try check(schedule, costs)
      #expect(schedule.diskSlots == 6)
      #expect(schedule.seconds < 0.7 * (try RewindSchedule(visiting: positions, memorySlots: 4, costs: costs).seconds))
      #expect(schedule.updates >= (try RewindSchedule(visiting: positions, memorySlots: 10).updates))
    }
    #expect(throws: RewindError.memorySlotNeeded(states: 10_000, limit: 8192)) {
      try RewindSchedule(visiting: 0..<10_000, memorySlots: 0, diskSlots: 3, costs: costs)
    }
  }

  private func check(_ schedule: RewindSchedule, _ costs: SlotCosts) throws {
    let checker = try RewindChecker(schedule)
    #expect(checker.updates == schedule.updates)
    #expect(checker.diskReads == schedule.diskReads)
    #expect(checker.diskWrites == schedule.diskWrites)
    let seconds =
      Double(checker.updates) * costs.step + Double(checker.diskWrites) * costs.write
      + Double(checker.diskReads) * costs.read
    #expect(schedule.seconds == seconds)
  }

  @Test func schedulesReadWell() throws {
    let text = try RewindSchedule(visiting: 0..<5, memorySlots: 1).map(\.description)
    #expect(
      text == [
        "start 0", "advance 0 2", "save memory 0", "advance 2 4", "visit 4", "load memory 0", "advance 2 3", "visit 3",
        "load memory 0", "visit 2", "release memory 0", "start 0", "advance 0 1", "visit 1", "start 0", "visit 0",
      ])
  }

  @Test func impossibleRewinds() {
    #expect(throws: RewindError.noStates(3..<3)) { try RewindSchedule(visiting: 3..<3, memorySlots: 1) }
    #expect(throws: RewindError.noStates(-1..<3)) { try RewindSchedule(visiting: -1..<3, memorySlots: 1) }
    #expect(throws: RewindError.negativeSlots(memory: -1, disk: 0)) {
      try RewindSchedule(visiting: 0..<3, memorySlots: -1)
    }
    #expect(throws: RewindError.tooManyStates(Int.max)) { try RewindSchedule(visiting: 0..<Int.max, memorySlots: 1) }
  }
}
