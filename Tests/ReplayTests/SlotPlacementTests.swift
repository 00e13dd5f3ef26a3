import Replay
import TestSupport
import Testing

/// What a plan with few slots takes, and what the least is by a search over all ways to use them.
@Suite struct SlotPlacementTests {
  /// The least time over all ways to visit the wanted states with so many memory slots and any number on disk: Dijkstra
  /// over what the lane holds, what the slots hold, and what has been visited. Knows batches only.
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
    // Only where paths part is there a reason to keep a state.
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
        // Once written a state need not be read back by the lane that holds it.
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

  /// A random order: iterates that share beginnings.
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
      // Reading back what the lane still holds is what a plan does so that other lanes can begin; here it is free.
      planner.slotCosts = SlotCosts(step: 1, write: Double(Int.random(in: 0...5, using: &random)), read: 0)
      for slots in 0...2 {
        planner.memorySlots = slots
        let plan = planner.plan()
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
}
