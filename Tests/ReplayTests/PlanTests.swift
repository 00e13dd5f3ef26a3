import Replay
import TestSupport
import Testing

/// Executes a plan while tracking only the sequence of each state, without numbers and without the engine.
struct PlanChecker {
  enum Failure: Error {
    case emptySlot(Int, SlotTier), nothingLoaded, wrongIterate(Iterate), wrongAverage(Int), tooManySlots(Int, SlotTier), checkpointAt(Int)
    case averagesNotStored(Int), averageOutOfStep(Int)
  }
  struct Slot {
    var replica: Int
    var sequence: [Int]
  }

  /// The stored states that the planner was told of.
  private let stored: [[ReplicaProgress.StoredPoint]]
  init(stored: [[ReplicaProgress.StoredPoint]]) {
    self.stored = stored
  }

  private(set) var observed: [Iterate: Int] = [:]
  private(set) var averagesObserved: [Int: Int] = [:]
  private(set) var updates = 0
  private(set) var checkpoints: [[Int]] = []
  private(set) var diskWrites = 0
  private(set) var diskReads = 0
  private var slots: [SlotTier: [Int: Slot]] = [.memory: [:], .disk: [:]]
  private var averages: [Int: [Int]] = [:]

  struct Lane {
    var replica = -1
    var sequence: [Int] = []
  }

  mutating func follow(_ instruction: ReplayInstruction, lane: inout Lane, plan: ReplayPlan) throws {
    switch instruction {
    case .start(let replica):
      lane = Lane(replica: replica, sequence: [])
    case .restore(let replica, let index, let takesAverages):
      let point = stored[replica][index]
      let order = plan.orders[point.point.iterate.order]
      let sequence = SpelledOut.batches(order, point.point.iterate.n).prefix(point.point.position)
      lane = Lane(replica: replica, sequence: Array(sequence))
      if takesAverages {
        guard point.hasAverages else { throw Failure.averagesNotStored(index) }
        averages[replica] = lane.sequence
      }
    case .checkpoint:
      let isAveraged = averages[lane.replica] == lane.sequence
      guard let interval = plan.checkpointInterval, lane.sequence.count % interval == 0 || isAveraged else {
        throw Failure.checkpointAt(lane.sequence.count)
      }
      checkpoints.append(lane.sequence)
    case .load(let slot, let tier):
      guard let held = slots[tier]?[slot] else { throw Failure.emptySlot(slot, tier) }
      diskReads += tier == .disk ? 1 : 0
      lane = Lane(replica: held.replica, sequence: held.sequence)
    case .apply(let run), .applyAveraging(let run):
      guard lane.replica >= 0 else { throw Failure.nothingLoaded }
      for index in 0..<run.count {
        lane.sequence.append(run[index])
        updates += 1
        if case .applyAveraging = instruction {
          if lane.sequence.count == 1 { averages[lane.replica] = [] }
          averages[lane.replica, default: []].append(run[index])
          guard averages[lane.replica] == lane.sequence else { throw Failure.averageOutOfStep(lane.sequence.count) }
        }
      }
    case .save(let slot, let tier):
      let count = tier == .disk ? plan.diskSlots : plan.memorySlots
      guard slot < count else { throw Failure.tooManySlots(slot, tier) }
      diskWrites += tier == .disk ? 1 : 0
      slots[tier]?[slot] = Slot(replica: lane.replica, sequence: lane.sequence)
    case .release(let slot, let tier):
      guard slots[tier]?[slot] != nil else { throw Failure.emptySlot(slot, tier) }
    case .observe(let iterates):
      for iterate in iterates {
        guard SpelledOut.batches(plan.orders[iterate.order], iterate.n) == lane.sequence else {
          throw Failure.wrongIterate(iterate)
        }
        observed[iterate, default: 0] += 1
      }
    case .observeAverages(let n):
      guard averages[lane.replica] == Array(1...n), lane.sequence == Array(1...n) else {
        throw Failure.wrongAverage(n)
      }
      averagesObserved[n, default: 0] += 1
    }
  }

  /// Executes the segments in the order of the list.
  static func followInOrder(
    _ plan: ReplayPlan, stored: [[ReplicaProgress.StoredPoint]] = []
  ) throws -> PlanChecker {
    var checker = PlanChecker(stored: stored)
    for segment in 0..<plan.segmentCount {
      var lane = Lane()
      try plan.forEachInstruction(ofSegment: segment) { try checker.follow($0, lane: &lane, plan: plan) }
    }
    return checker
  }

  /// Executes segments on `lanes` lanes that take any segment whose prerequisites are done and proceed in a random
  /// interleaving.
  static func followAtRandom(
    _ plan: ReplayPlan, lanes: Int, seed: UInt64, stored: [[ReplicaProgress.StoredPoint]] = []
  ) throws -> PlanChecker {
    var checker = PlanChecker(stored: stored)
    var random = SplitMix(state: seed)
    var done: Set<Int> = [], begun: Set<Int> = []
    var running: [(segment: Int, instructions: ArraySlice<ReplayInstruction>, lane: Lane)] = []
    while done.count < plan.segmentCount {
      let ready = (0..<plan.segmentCount).filter { segment in
        !begun.contains(segment) && plan.prerequisites(ofSegment: segment).allSatisfy { done.contains($0) }
      }
      if running.count < lanes, let segment = ready.randomElement(using: &random) {
        begun.insert(segment)
        var instructions: [ReplayInstruction] = []
        plan.forEachInstruction(ofSegment: segment) { instructions.append($0) }
        running.append((segment, instructions[...], Lane()))
        continue
      }
      let index = Int.random(in: running.indices, using: &random)
      if let instruction = running[index].instructions.popFirst() {
        try checker.follow(instruction, lane: &running[index].lane, plan: plan)
      } else {
        done.insert(running[index].segment)
        running.remove(at: index)
      }
    }
    return checker
  }
}

/// The least number of updates that yields all sequences: every state on a path must be computed once, and the states
/// on the path are the prefixes of its sequence.
private func leastUpdates(_ orders: [CompositionOrder], _ points: [Int]) -> Int {
  var states: Set<[Int]> = []
  for order in orders {
    for n in points {
      let batches = SpelledOut.batches(order, n)
      for length in 0..<batches.count { states.insert(Array(batches[...length])) }
    }
  }
  return states.count
}

@Suite struct PlanTests {
  private func plan(
    _ orders: [CompositionOrder], _ points: [Int], replicas: Int = 1, lanes: Int = 1, averages: Bool = true,
    memorySlots: Int? = nil
  ) throws -> ReplayPlan {
    var planner = ReplayPlanner(orders: orders, points: points)
    planner.replicas = Array(repeating: ReplicaProgress(), count: replicas)
    planner.lanes = lanes
    planner.observationCost = 2
    planner.averageCount = averages ? 2 : 0
    planner.memorySlots = memorySlots
    planner.slotCosts = SlotCosts(step: 1, write: 3, read: 1)
    return try planner.plan()
  }

  private func check(_ checker: PlanChecker, _ plan: ReplayPlan, points: [Int]) {
    #expect(checker.updates == plan.gradientEvaluations)
    for order in plan.orders.indices {
      for n in points { #expect(checker.observed[Iterate(order: order, n: n)] == plan.replicas) }
    }
    #expect(checker.observed.count == plan.orders.count * points.count)
    if plan.orders.contains(.forward) && plan.averageObservationCount > 0 {
      #expect(checker.averagesObserved == Dictionary(uniqueKeysWithValues: points.map { ($0, plan.replicas) }))
      #expect(plan.averageObservationCount == 2 * points.count * plan.replicas)
    }
  }

  /// All pairs of orders with sizes up to 3 and all sets of points up to 5.
  @Test func allSmallCasesAreCompleteAndLeast() throws {
    let orders = SpelledOut.orders(maximumSize: 3)
    for (index, first) in orders.enumerated() {
      for second in orders[index...] {
        let pair = first == second ? [first] : [first, second]
        for subset in 1..<32 {
          let points = (1...5).filter { subset & (1 << ($0 - 1)) != 0 }
          let plan = try plan(pair, points)
          let checker = try PlanChecker.followInOrder(plan)
          check(checker, plan, points: points)
          #expect(checker.updates == leastUpdates(pair, points), "\(pair) at \(points)")
        }
      }
    }
  }

  @Test func randomCasesHoldForAnyLanesAndInterleaving() throws {
    var random = SplitMix(state: 1)
    let orders = SpelledOut.orders(maximumSize: 6)
    for round in 0..<300 {
      let chosen = Array(orders.shuffled(using: &random).prefix(Int.random(in: 1...4, using: &random)))
      let points = Array(Set((0..<8).map { _ in Int.random(in: 1...30, using: &random) })).sorted()
      let lanes = Int.random(in: 1...4, using: &random)
      let slots = Int.random(in: -1...2, using: &random)
      let plan = try plan(
        chosen, points, replicas: Int.random(in: 1...3, using: &random), lanes: lanes,
        memorySlots: slots < 0 ? nil : slots)
      check(try PlanChecker.followInOrder(plan), plan, points: points)
      check(try PlanChecker.followAtRandom(plan, lanes: lanes, seed: UInt64(round)), plan, points: points)
      #expect(plan.gradientEvaluations == leastUpdates(chosen, points) * plan.replicas + plan.repeatedUpdates)
    }
  }

  /// What has been observed is not observed again, what is stored is not computed again, and every other state is
  /// computed once.
  @Test func resumedPlansDoWhatIsLeft() throws {
    var random = SplitMix(state: 2)
    let orders = [CompositionOrder.forward] + SpelledOut.orders(maximumSize: 5)[1...]
    for round in 0..<400 {
      let chosen = Array(orders.shuffled(using: &random).prefix(Int.random(in: 1...4, using: &random)))
      let points = Array(Set((0..<6).map { _ in Int.random(in: 1...25, using: &random) })).sorted()
      let all = chosen.indices.flatMap { order in points.map { Iterate(order: order, n: $0) } }
      let replicas = (0..<2).map { _ in
        var progress = ReplicaProgress()
        progress.observed = Set(all.filter { _ in Bool.random(using: &random) })
        progress.averagesObserved = Set(points.filter { _ in Bool.random(using: &random) })
        for iterate in all where Int.random(in: 0..<3, using: &random) == 0 {
          let count = chosen[iterate.order].sequence(iterate.n).count
          progress.stored.append(
            .init(
              PathPoint(iterate, position: Int.random(in: 1...count, using: &random)),
              hasAverages: chosen[iterate.order] == .forward && Bool.random(using: &random)))
        }
        return progress
      }
      var planner = ReplayPlanner(orders: chosen, points: points)
      planner.replicas = replicas
      planner.lanes = Int.random(in: 1...3, using: &random)
      planner.averageCount = 3
      if Bool.random(using: &random) {
        planner.memorySlots = Int.random(in: 0...1, using: &random)
        planner.slotCosts = SlotCosts(step: 1, write: 4, read: 2, start: 1)
      }
      planner.checkpointInterval = Int.random(in: 1...9, using: &random)
      let plan = try planner.plan()
      let stored = replicas.map(\.stored)
      var expectedUpdates = 0
      var expectedObserved: [Iterate: Int] = [:]
      var expectedAverages: [Int: Int] = [:]
      for progress in replicas {
        let averages = chosen.contains(.forward) ? points.filter { !progress.averagesObserved.contains($0) } : []
        let missing = all.filter {
          !progress.observed.contains($0) || (chosen[$0.order] == .forward && averages.contains($0.n))
        }
        for n in averages { expectedAverages[n, default: 0] += 1 }
        for iterate in missing { expectedObserved[iterate, default: 0] += 1 }
        let states = progress.stored.map { stored in
          Array(SpelledOut.batches(chosen[stored.point.iterate.order], stored.point.iterate.n).prefix(stored.point.position))
        }
        // Averages start from the last state before that is stored with its averages.
        var averaged: Set<[Int]> = []
        for n in averages {
          let begin = zip(progress.stored, states).filter { $0.hasAverages && $1 == Array(1...$1.count) && $1.count <= n }
            .map(\.1.count).max() ?? 0
          for count in begin + 1..<n + 1 { averaged.insert(Array(1...count)) }
        }
        let usable = Set(states).subtracting(averaged)
        var made: Set<[Int]> = []
        for iterate in missing {
          var state = SpelledOut.batches(chosen[iterate.order], iterate.n)
          while !state.isEmpty, !usable.contains(state) {
            made.insert(state)
            state.removeLast()
          }
        }
        expectedUpdates += made.count
      }
      expectedUpdates += plan.repeatedUpdates
      #expect(plan.gradientEvaluations == expectedUpdates)
      for checker in [
        try PlanChecker.followInOrder(plan, stored: stored),
        try PlanChecker.followAtRandom(plan, lanes: 3, seed: UInt64(round), stored: stored),
      ] {
        #expect(checker.updates == expectedUpdates)
        #expect(checker.observed == expectedObserved)
        #expect(checker.averagesObserved == expectedAverages)
        #expect(checker.observed.values.reduce(0, +) >= plan.observationCount)
      }
    }
  }

  /// Averages are also stored at the end of forward's path, unless nothing is stored or they are there already.
  @Test func averagesAreStoredWhereForwardEnds() throws {
    for (interval, averages, stored, expected) in [
      (4, 2, nil, [4, 8, 11]), (4, 0, nil, [4, 8]), (11, 2, nil, [11]), (100, 1, nil, [11]), (nil, 2, nil, []),
      (4, 2, 8, [11]), (4, 2, 11, []),
    ] as [(Int?, Int, Int?, [Int])] {
      var planner = ReplayPlanner(orders: [.forward, .window(3)], points: [5, 11])
      planner.observedOrders = 0..<1
      planner.averageCount = averages
      planner.checkpointInterval = interval
      planner.replicas[0].stored = stored.map {
        [.init(PathPoint(Iterate(order: 0, n: 11), position: $0), hasAverages: true)]
      } ?? []
      if stored != nil { planner.replicas[0].observed = [Iterate(order: 0, n: 5), Iterate(order: 0, n: 11)] }
      if stored != nil { planner.replicas[0].averagesObserved = [5] }
      let plan = try planner.plan()
      let checker = try PlanChecker.followInOrder(plan, stored: planner.replicas.map(\.stored))
      #expect(checker.checkpoints.map(\.count) == expected, "\(String(describing: interval)) \(averages)")
      #expect((plan.checkpointCounts.states > 0) == !expected.isEmpty)
    }
    // A plan for averages missing before the end stores nothing there.
    var planner = ReplayPlanner(orders: [.forward], points: [5, 11])
    planner.averageCount = 1
    planner.checkpointInterval = 100
    planner.replicas[0].observed = [Iterate(order: 0, n: 11)]
    planner.replicas[0].averagesObserved = [11]
    #expect(try planner.plan().checkpointCounts.states == 0)
  }

  @Test func knownCosts() throws {
    let points = Array(stride(from: 10, through: 100, by: 10))
    let costs: [(CompositionOrder, Int)] = [
      (.forward, 100), (.backward, 550), (.tail(20), 270), (.window(10), 190), (.sliding(4), 394),
    ]
    for (order, cost) in costs {
      #expect(try plan([order], points).gradientEvaluations == cost, "\(order)")
      #expect(ReplayPlanner.gradientEvaluations(of: order, points: points) == cost)
    }
    // The heads of window:10 are iterates of forward.
    #expect(try plan([.forward, .window(10)], points).gradientEvaluations == 200)
  }

  @Test func oneLaneKeepsFewStates() throws {
    let points = Array(1...200)
    #expect(try plan([.forward], points).memorySlots == 0)
    #expect(try plan([.backward], points).memorySlots == 0)
    #expect(try plan([.tail(10)], points).memorySlots == 1)
    #expect(try plan([.forward, .window(10), .sliding(3), .flipflop(7), .blocks(20)], points).memorySlots <= 3)
  }

  @Test func orderFilesMeetOtherOrders() throws {
    let list = try ListedOrder(name: "file:x", text: "1\n1-2\n3-1\n1-3,1-3\n")
    let plan = try plan([.listed(list), .forward, .backward], [1, 2, 3, 4])
    let checker = try PlanChecker.followInOrder(plan)
    check(checker, plan, points: [1, 2, 3, 4])
    #expect(plan.gradientEvaluations == leastUpdates(plan.orders, [1, 2, 3, 4]))
  }

  /// A plan over a million batches has entries for its observations, not for its batches.
  @Test(arguments: SpelledOut.orders(maximumSize: 2) + [.tail(1000), .sliding(16), .flipflop(100), .blocks(1000)])
  func aMillionBatches(order: CompositionOrder) throws {
    let points = Array(stride(from: 10_000, through: 1_000_000, by: 10_000))
    let plan = try plan([order], points, averages: false)
    #expect(plan.segmentCount <= 200)
    #expect(plan.observationCount == 100)
  }
}
