import Replay
import TestSupport
import Testing

/// Compares the time of plans with few slots with the least time found by a search over all uses of slots.
@Suite struct SlotPlacementTests {
  /// The least time over all ways to visit the wanted states with the given number of memory slots and any number on
  /// disk: Dijkstra's algorithm over the contents of the lane and the slots and the set of visited states. It uses
  /// batches only.
  private func leastTime(_ sequences: [[Int]], memorySlots: Int, costs: SlotCosts) -> Double {
    struct Situation: Hashable {
      var lane: [Int]
      var memory: Set<[Int]>
      var disk: Set<[Int]>
      var visited: Set<[Int]>
    }
    let wanted = Set(sequences)
    let prefixes = Set(sequences.flatMap { sequence in (1...sequence.count).map { Array(sequence.prefix($0)) } })
    var children: [[Int]: [[Int]]] = [:]
    for prefix in prefixes { children[Array(prefix.dropLast()), default: []].append(prefix) }
    // There is a reason to keep a state only where paths part.
    let kept = Set(children.filter { $0.value.count > 1 && !$0.key.isEmpty }.keys)
    var least: [Situation: Double] = [:]
    var pending: [(time: Double, situation: Situation)] = [
      (0, Situation(lane: [], memory: [], disk: [], visited: []))
    ]
    least[pending[0].situation] = 0
    while !pending.isEmpty {
      let index = pending.indices.min { pending[$0].time < pending[$1].time } ?? 0
      let (time, situation) = pending.remove(at: index)
      if situation.visited == wanted { return time }
      guard least[situation] == time else { continue }
      var next: [(Double, Situation)] = []
      func add(_ cost: Double, _ change: (inout Situation) -> Void) {
        var changed = situation
        change(&changed)
        next.append((time + cost, changed))
      }
      for child in children[situation.lane] ?? [] {
        add(costs.step) {
          $0.lane = child
          if wanted.contains(child) { $0.visited.insert(child) }
        }
      }
      if !situation.lane.isEmpty { add(costs.start) { $0.lane = [] } }
      for state in situation.memory where state != situation.lane { add(0) { $0.lane = state } }
      for state in situation.disk where state != situation.lane { add(costs.read) { $0.lane = state } }
      if kept.contains(situation.lane) {
        if !situation.memory.contains(situation.lane), memorySlots > 0 {
          if situation.memory.count < memorySlots {
            add(0) { $0.memory.insert($0.lane) }
          } else {
            for old in situation.memory {
              add(0) {
                $0.memory.remove(old)
                $0.memory.insert($0.lane)
              }
            }
          }
        }
        // A state just written need not be read by the lane that still holds it.
        if !situation.disk.contains(situation.lane) { add(costs.write) { $0.disk.insert($0.lane) } }
      }
      for (time, situation) in next where time < least[situation] ?? .infinity {
        least[situation] = time
        pending.append((time, situation))
      }
    }
    return .infinity
  }

  private func time(_ plan: ReplayPlan, _ checker: PlanChecker, starts: Int, costs: SlotCosts) -> Double {
    Double(checker.updates) * costs.step + Double(checker.diskWrites) * costs.write
      + Double(checker.diskReads) * costs.read + Double(starts) * costs.start
  }

  /// A random order whose iterates share prefixes.
  private func randomTree(_ random: inout SplitMix, leaves: Int) throws -> [[Int]] {
    var sequences: [[Int]] = [[1]]
    while sequences.count < leaves {
      let base = sequences.randomElement(using: &random) ?? []
      let shared = Int.random(in: 0...base.count, using: &random)
      let more = (0..<Int.random(in: 1...3, using: &random)).map { _ in Int.random(in: 1...3, using: &random) }
      let sequence = Array(base.prefix(shared)) + more
      if !sequences.contains(sequence) { sequences.append(sequence) }
    }
    return sequences
  }

  @Test func noOtherUseOfTheSlotsIsFaster() throws {
    var random = SplitMix(state: 3)
    for round in 0..<150 {
      let sequences = try randomTree(&random, leaves: Int.random(in: 3...5, using: &random))
      let order = CompositionOrder.listed(
        try ListedOrder(
          name: "file:x", text: sequences.map { $0.map(String.init).joined(separator: ",") }.joined(separator: "\n")))
      var planner = ReplayPlanner(orders: [order], points: Array(1...sequences.count))
      // A plan reads a state that the lane still holds so that other lanes can start from it; here that is free.
      planner.slotCosts = SlotCosts(step: 1, write: Double(Int.random(in: 0...5, using: &random)), read: 0)
      for slots in 0...2 {
        planner.memorySlots = slots
        let plan = try planner.plan()
        let checker = try PlanChecker.followInOrder(plan)
        #expect(plan.memorySlots <= slots)
        #expect(checker.updates == plan.gradientEvaluations)
        #expect(checker.diskWrites == plan.diskWrites)
        #expect(checker.diskReads == plan.diskReads)
        let least = leastTime(sequences, memorySlots: slots, costs: planner.slotCosts)
        let taken = time(plan, checker, starts: 0, costs: planner.slotCosts)
        #expect(taken == least, "\(round): \(sequences) with \(slots) slots, \(planner.slotCosts)")
      }
    }
  }

  /// The recursion in the comment of `SlotPlacement`, computed value by value.
  private struct Recursion {
    private struct Key: Hashable {
      let state: [Int]
      let distance: Double
      let free: Int
    }
    private let children: [[Int]: [[Int]]]
    private let costs: SlotCosts
    private var known: [Key: Double] = [:]

    init(_ sequences: [[Int]], _ costs: SlotCosts) {
      self.costs = costs
      let prefixes = Set(sequences.flatMap { sequence in (1...sequence.count).map { Array(sequence.prefix($0)) } })
      children = Dictionary(grouping: prefixes) { Array($0.dropLast()) }
    }

    mutating func leastExtraTime(memorySlots: Int) -> Double {
      (children[[]] ?? []).reduce(0) { $0 + least($1, distance: costs.start + 1, free: memorySlots) }
    }

    private mutating func least(_ state: [Int], distance: Double, free: Int) -> Double {
      let key = Key(state: state, distance: distance, free: free)
      if let value = known[key] { return value }
      let below = children[state] ?? []
      var value = 0.0
      let unkept = below.map { least($0, distance: distance + 1, free: free) }
      if below.count < 2 {
        value = unkept.first ?? 0
      } else {
        value = unkept.reduce(distance * Double(below.count - 1), +)
        for (write, read, left) in [(0, 0, free - 1), (costs.write, costs.read, free)] where left >= 0 {
          let kept = below.map { read + least($0, distance: read + 1, free: left) }
          for last in below.indices {
            let others = below.indices.filter { $0 != last }.reduce(0) { $0 + min(distance + unkept[$1], kept[$1]) }
            value = min(value, write + others + min(kept[last], read + unkept[last]))
          }
        }
      }
      known[key] = value
      return value
    }
  }

  /// Compares trees that are too large for a search, with costs for reading and starting.
  @Test func plansTakeWhatTheRecursionSays() throws {
    var random = SplitMix(state: 5)
    for round in 0..<cases(60, long: 2000) {
      var sequences: [[Int]] = [[1]]
      for _ in 0..<Int.random(in: 2...30, using: &random) {
        // The trees are paths with teeth, and bushes.
        let base = Bool.random(using: &random) ? sequences[sequences.count - 1] : sequences.randomElement(using: &random) ?? []
        let shared = Int.random(in: 0...base.count, using: &random)
        let more = (0..<Int.random(in: 1...6, using: &random)).map { _ in Int.random(in: 1...4, using: &random) }
        let sequence = Array(base.prefix(shared)) + more
        if !sequences.contains(sequence) { sequences.append(sequence) }
      }
      let order = CompositionOrder.listed(
        try ListedOrder(
          name: "file:x", text: sequences.map { $0.map(String.init).joined(separator: ",") }.joined(separator: "\n")))
      var planner = ReplayPlanner(orders: [order], points: Array(1...sequences.count))
      let costs = SlotCosts(
        step: 1, write: Double(Int.random(in: 0...12, using: &random)), read: Double(Int.random(in: 0...6, using: &random)),
        start: Double(Int.random(in: 0...3, using: &random)))
      planner.slotCosts = costs
      let branches = Set(sequences.map { $0[0] }).count
      for slots in 0...3 {
        planner.memorySlots = slots
        let plan = try planner.plan()
        let checker = try PlanChecker.followInOrder(plan)
        #expect(plan.memorySlots <= slots)
        #expect(checker.updates == plan.gradientEvaluations)
        var starts = -branches
        for segment in 0..<plan.segmentCount {
          plan.forEachInstruction(ofSegment: segment) { if case .start = $0 { starts += 1 } }
        }
        let taken = Double(plan.repeatedUpdates) + costs.write * Double(plan.diskWrites)
          + costs.read * Double(plan.diskReads) + costs.start * Double(starts)
        var recursion = Recursion(sequences, costs)
        let least = recursion.leastExtraTime(memorySlots: slots)
        #expect(abs(taken - least) < 1e-6, "\(round): \(sequences) with \(slots) slots, \(costs): \(taken), least \(least)")
      }
    }
  }
}
