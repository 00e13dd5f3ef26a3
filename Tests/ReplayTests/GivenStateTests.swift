import Replay
import Tensors
import Testing

/// Rewinds that start from stored states.
@Suite struct GivenStateTests {
  private static let many: [(positions: Range<Int>, given: [Int])] = [
    (0..<9, [4]), (0..<10, [3, 6]), (2..<10, [5]), (2..<10, [1, 7]), (3..<11, [2, 3, 9]), (5..<10, [4, 20]), (0..<8, [1, 2, 3, 7]),
    (6..<10, [6]), (0..<10, [9]), (7..<8, [3, 7]), (4..<12, [8, 1]), (0..<9, []),
  ]

  /// If reading a given state takes no longer than an update, a search over all ways finds none that is faster.
  @Test(arguments: [0, 0.5, 1])
  func noOtherWayIsFaster(cost: Double) throws {
    for (positions, places) in Self.many {
      let given = places.map { GivenState(position: $0, cost: cost) }
      for slots in 0...3 {
        let schedule = try RewindSchedule(visiting: positions, given: given, memorySlots: slots)
        let checker = try RewindChecker(schedule, given: Set(places))
        #expect(checker.updates == schedule.updates)
        #expect(schedule.seconds == Double(checker.updates) + cost * Double(checker.givenReads))
        let least = leastRewindSeconds(positions, given: given, memorySlots: slots, diskSlots: 0, costs: SlotCosts(step: 1))
        #expect(schedule.seconds == least, "\(positions), \(places), \(slots) slots")
        #expect(Set(schedule.givenPositions).isSubset(of: places))
      }
    }
  }

  /// Expensive states are read only if that pays: the schedule is never slower than with any subset of them, or
  /// without them.
  @Test(arguments: [2, 3.5, 6, 1000])
  func dearStatesAreReadWhereThatPays(cost: Double) throws {
    for (positions, places) in Self.many {
      for slots in 0...3 {
        func seconds(_ places: [Int]) throws -> Double {
          let given = places.map { GivenState(position: $0, cost: cost) }
          let schedule = try RewindSchedule(visiting: positions, given: given, memorySlots: slots)
          #expect(try RewindChecker(schedule, given: Set(places)).updates == schedule.updates)
          return schedule.seconds
        }
        let all = try seconds(places)
        for choice in 0..<1 << places.count {
          #expect(all <= (try seconds(places.enumerated().filter { choice >> $0.offset & 1 == 1 }.map(\.element))))
        }
        if cost == 1000 {
          #expect(all == (try seconds([])))
        }
      }
    }
  }

  @Test func slotsOfBothTiersServeEveryLeg() throws {
    for (positions, places) in Self.many {
      let given = places.map { GivenState(position: $0, cost: 1) }
      for (memory, disk) in [(0, 1), (1, 1), (0, 3), (2, 2)] {
        let costs = SlotCosts(step: 1, write: 0.5, read: 0.25)
        let timed = try RewindSchedule(visiting: positions, given: given, memorySlots: memory, diskSlots: disk, costs: costs)
        let fewest = try RewindSchedule.fewestUpdates(visiting: positions, given: given, memorySlots: memory, diskSlots: disk)
        for schedule in [timed, fewest] {
          let checker = try RewindChecker(schedule, given: Set(places))
          #expect(checker.updates == schedule.updates && checker.diskWrites == schedule.diskWrites)
          #expect(checker.diskReads == schedule.diskReads)
          #expect(schedule.memorySlots <= memory && schedule.diskSlots <= disk)
        }
        let least = leastRewindSeconds(
          positions, given: places.map { GivenState(position: $0) }, memorySlots: memory, diskSlots: disk,
          costs: SlotCosts(step: 1))
        #expect(Double(fewest.updates) == least, "\(positions), \(places), \(memory) and \(disk) slots")
      }
    }
  }

  /// With stored states a hundred updates apart, each pass has a hundredth of the way.
  @Test func aLongPathIsCutAtEveryState() throws {
    let given = (1..<1000).map { GivenState(position: 100 * $0) }
    let alone = try RewindSchedule(visiting: 0..<100_000, memorySlots: 3)
    let schedule = try RewindSchedule(visiting: 0..<100_000, given: given, memorySlots: 3)
    #expect(schedule.givenPositions == given.map(\.position))
    #expect(schedule.updates == 1000 * (try RewindSchedule(visiting: 0..<100, memorySlots: 3).updates))
    #expect(schedule.updates < alone.updates / 7)
    // Late states are available without the way from the start.
    let late = try RewindSchedule(visiting: 99_990..<100_000, given: given, memorySlots: 3)
    #expect(late.givenPositions == [99_900] && late.updates < 10 * 100)
  }
}
