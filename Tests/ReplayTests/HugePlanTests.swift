import Replay
import TestSupport
import Testing

/// At sizes where sums and products could overflow, plans are refused or correct.
@Suite struct HugePlanTests {
  private static let most = BatchRun.largestBatch
  private static let sizes = [1, 2, 3, 1000, most / 2 - 1, most / 2, most / 2 + 1, most - 1, most]

  private static func orders(_ size: Int) -> [CompositionOrder] {
    [.tail(size), .splice(size), .window(size), .sliding(size), .slidingForward(size), .flipflop(size), .blocks(size), .reshuffled(size), .paired(size), .randomOrder(size)]
  }

  @Test(arguments: [
    "9223372036854775807", "300000000000000000", "1-9223372036854775807,1-9223372036854775807", "1000000001",
    "1-1000000001", "0-1000000000", "-9223372036854775808", "9223372036854775808",
  ])
  func batchesBeyondTheLimitAreRefused(text: String) {
    #expect(throws: OrderError.self) { try BatchSequence(parsing: text) }
    #expect(throws: OrderError.unreadableLine(order: "file:x", line: 2, text: text)) {
      try ListedOrder(name: "file:x", text: "1\n\(text)\n")
    }
  }

  @Test func theLargestBatchIsRead() throws {
    #expect(try BatchSequence(parsing: "1-1000000000,1000000000-1").count == 2_000_000_000)
    #expect(try BatchSequence(parsing: "1000000000").largestBatch == 1_000_000_000)
  }

  /// Ten to the fifteenth batches in a line take 13 MB of text.
  @Test(.enabled(if: cases(0, long: 1) == 1)) func sequencesThatNoPlanMayHaveAreRefused() {
    let line = Array(repeating: "1-1000000000", count: 1_000_001).joined(separator: ",")
    #expect(throws: OrderError.tooLongLine(order: "file:x", line: 1)) { try ListedOrder(name: "file:x", text: line) }
  }

  @Test func theLargestBatchOfASequenceIsFound() {
    for order in SpelledOut.orders(maximumSize: 5) {
      for n in 1...23 {
        #expect(order.sequence(n).largestBatch == SpelledOut.batches(order, n).max(), "\(order) at \(n)")
      }
    }
  }

  @Test func sequencesUpToTheLimitsAreCountedRight() {
    for size in Self.sizes {
      for order in Self.orders(size) {
        for n in [1, size - 1, size, size + 1, 2 * size, Self.most - 1, Self.most] where (1...Self.most).contains(n) {
          let sequence = order.sequence(n)
          let count: Int
          switch order {
          case .sliding, .slidingForward:
            let growing = min(n, size)
            count = growing * (growing + 1) / 2 + (n - growing) * size
          default: count = n
          }
          #expect(sequence.count == count, "\(order) at \(n)")
          #expect(sequence.largestBatch <= Self.most)
          for position in [0, count / 3, count - 1] { #expect((1...Self.most).contains(sequence[position])) }
          #expect(sequence.prefix(count / 2).count == count / 2)
          #expect(sequence.commonPrefixCount(with: sequence.prefix(count / 2)) == count / 2)
        }
      }
    }
  }

  @Test func moreUpdatesThanCanBeCountedAreRefused() {
    #expect(throws: ReplayError.tooManyUpdates) { try ReplayPlanner(orders: [.sliding(Self.most / 2)], points: [Self.most]).plan() }
    // Together they exceed an `Int`.
    let many = (0..<60).map { CompositionOrder.sliding(Self.most / 2 - $0) }
    #expect(throws: ReplayError.tooManyUpdates) { try ReplayPlanner(orders: many, points: [Self.most]).plan() }
    #expect(ReplayPlanner.gradientEvaluations(of: many, points: many.map { _ in [Self.most] }) == .max)
    var seeds = ReplayPlanner(orders: [.sliding(100_000)], points: [Self.most])
    seeds.replicas = Array(repeating: ReplicaProgress(), count: 1_000_000)
    #expect(throws: ReplayError.tooManyUpdates) { try seeds.plan() }
  }

  @Test func plansNearTheLimitsHold() throws {
    var random = SplitMix(state: 12)
    var refused = 0
    let rounds = cases(300, long: 10_000)
    for _ in 0..<rounds {
      let orders = Array(
        Set((0..<Int.random(in: 1...3, using: &random)).flatMap { _ in
          Self.orders(Self.sizes.randomElement(using: &random) ?? 1).shuffled(using: &random).prefix(1)
        } + [.forward]))
      let points = Array(Set((0..<4).map { _ in max(1, Self.most - Int(random.next() % 5) * Int(random.next() % 300_000_000)) }.filter { $0 > 0 }))
      var planner = ReplayPlanner(orders: orders, points: points.sorted())
      planner.replicas = Array(repeating: ReplicaProgress(), count: Int.random(in: 1...3, using: &random))
      planner.averageCount = 2
      planner.memorySlots = Int.random(in: 0...1, using: &random)
      planner.slotCosts = SlotCosts(step: 1e-6, write: 0.1, read: 0.05)
      planner.checkpointInterval = 1
      do {
        let plan = try planner.plan()
        let least = ReplayPlanner.gradientEvaluations(of: orders, points: orders.map { _ in planner.points[0] })
        #expect(plan.gradientEvaluations == least * plan.replicas + plan.repeatedUpdates)
        #expect(plan.duration(lanes: 2, observationCost: 1) >= Double(plan.gradientEvaluations) / 2)
        #expect(plan.checkpointCounts.states >= least)
      } catch ReplayError.tooManyUpdates {
        refused += 1
      }
    }
    #expect(refused > 0 && refused < rounds)
  }

  /// Planning checks for cancellation now and then.
  @Test(arguments: [nil, 0]) func aCancelledTaskStopsPlanning(memorySlots: Int?) async {
    var planner = ReplayPlanner(orders: [.forward, .splice(5)], points: Array(1...20_000))
    planner.memorySlots = memorySlots
    planner.slotCosts = SlotCosts(step: 1, write: 100, read: 50)
    let planning = Task { [planner] in
      withUnsafeCurrentTask { $0?.cancel() }
      return try planner.plan()
    }
    await #expect(throws: CancellationError.self) { try await planning.value }
  }
}

@Suite struct EqualIteratesTests {
  @Test func everyEqualOneIsFound() throws {
    var random = SplitMix(state: 13)
    for _ in 0..<cases(200, long: 5000) {
      let orders = Array(SpelledOut.orders(maximumSize: 8).shuffled(using: &random).prefix(5))
      let all = orders.indices.flatMap { order in (1...12).map { Iterate(order: order, n: $0) } }.shuffled(using: &random)
      let known = Array(all.prefix(20))
      let wanted = Array(all.dropFirst(20).prefix(30))
      let pairs = try EqualIterates(orders: orders).pairs(of: wanted, among: known)
      func spelledOut(_ iterate: Iterate) -> [Int] { SpelledOut.batches(orders[iterate.order], iterate.n) }
      for pair in pairs {
        #expect(spelledOut(pair.wanted) == spelledOut(pair.known))
        #expect(known.contains(pair.known))
      }
      let there = Set(known.map(spelledOut))
      #expect(Set(pairs.map(\.wanted)) == Set(wanted.filter { there.contains(spelledOut($0)) }))
      #expect(pairs.count == Set(pairs.map(\.wanted)).count)
    }
  }

  /// Sequences that agree in a few sampled batches cause no problem.
  @Test func manyThatLookAlikeTakeNoLonger() throws {
    let count = 4000
    // All begin and end alike and differ in the second batch.
    let text = (1...count).map { "1,\($0),1-100" }.joined(separator: "\n")
    let orders = [CompositionOrder.listed(try ListedOrder(name: "file:x", text: text)), .forward]
    let iterates = (1...count).map { Iterate(order: 0, n: $0) }
    let pairs = try EqualIterates(orders: orders + [orders[0]]).pairs(
      of: iterates.map { Iterate(order: 2, n: $0.n) }, among: iterates)
    #expect(pairs.count == count)
    #expect(pairs.allSatisfy { $0.wanted.n == $0.known.n })
  }
}
