import Replay
import TestSupport
import Testing

/// Compares the updates of plans with a search over everything a lane could do.
@Suite struct LeastWorkTests {
  /// A state that a replay may start from, with or without the running averages there.
  private struct Stored {
    let batches: [Int]
    let hasAverages: Bool
  }

  /// The least number of updates after which all wanted states have been reached and the averages have been at all
  /// wanted n. A state once reached is kept; the averages are at one position at a time and move on only with an
  /// update.
  private func leastUpdates(states wanted: Set<[Int]>, averages: Set<Int>, stored: [Stored]) -> Int {
    struct Situation: Hashable {
      var made: Set<[Int]>
      var averagesAt: Int
      var averaged: Set<Int>
    }
    let useful = Set(
      wanted.flatMap { state in (1...state.count).map { Array(state.prefix($0)) } }
        + (averages.isEmpty ? [] : (1...(averages.max() ?? 1)).map { Array(1...$0) }))
    let begun = Situation(made: Set(stored.map(\.batches)).union([[]]), averagesAt: 0, averaged: [])
    var seen: Set<Situation> = []
    var level: Set<Situation> = [begun]
    for updates in 0... {
      // Restoring stored averages costs nothing.
      var pending = Array(level)
      while let situation = pending.popLast() {
        for state in stored where state.hasAverages && state.batches == Array(1...state.batches.count) {
          var next = situation
          next.averagesAt = state.batches.count
          if averages.contains(next.averagesAt) { next.averaged.insert(next.averagesAt) }
          if level.insert(next).inserted { pending.append(next) }
        }
      }
      if level.contains(where: { $0.averaged == averages && wanted.isSubset(of: $0.made) }) { return updates }
      seen.formUnion(level)
      var following: Set<Situation> = []
      for situation in level {
        for state in useful where situation.made.contains(Array(state.dropLast())) {
          if !situation.made.contains(state) {
            var next = situation
            next.made.insert(state)
            following.insert(next)
          }
          let isForward = state == Array(1...state.count)
          guard isForward, !averages.isEmpty, state.count == 1 || situation.averagesAt == state.count - 1 else { continue }
          var next = situation
          next.made.insert(state)
          next.averagesAt = state.count
          if averages.contains(state.count) { next.averaged.insert(state.count) }
          following.insert(next)
        }
      }
      level = following.subtracting(seen)
    }
    return .max
  }

  /// Forward beside an order of random sequences, where some work is done already and some states are stored.
  @Test func noOtherWayTakesFewerUpdates() throws {
    var random = SplitMix(state: 9)
    for round in 0..<cases(150, long: 3000) {
      let length = Int.random(in: 2...5, using: &random)
      var sequences: [[Int]] = []
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let shared = Int.random(in: 0...length, using: &random)
        let more = (0..<Int.random(in: 0...2, using: &random)).map { _ in Int.random(in: 1...3, using: &random) }
        sequences.append(shared == 0 && more.isEmpty ? [2] : Array(Array(1...length).prefix(shared)) + more)
      }
      let text = sequences.map { $0.map(String.init).joined(separator: ",") }.joined(separator: "\n")
      let orders = [CompositionOrder.forward, .listed(try ListedOrder(name: "file:x", text: text))]
      let points = [
        Array(Set((0..<3).map { _ in Int.random(in: 1...length, using: &random) })).sorted(), Array(1...sequences.count),
      ]
      let all = orders.indices.flatMap { order in points[order].map { Iterate(order: order, n: $0) } }
      var progress = ReplicaProgress()
      progress.observed = Set(all.filter { _ in Bool.random(using: &random) })
      progress.averagesObserved = Set(points[0].filter { _ in Bool.random(using: &random) })
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        let iterate = Int.random(in: 0..<4, using: &random) == 0 ? all.randomElement(using: &random) : Iterate(order: 0, n: length)
        guard let iterate else { continue }
        let position = Int.random(in: 1...SpelledOut.batches(orders[iterate.order], iterate.n).count, using: &random)
        progress.stored.append(
          .init(PathPoint(iterate, position: position), hasAverages: iterate.order == 0 && Bool.random(using: &random)))
      }
      var planner = ReplayPlanner(orders: orders, points: points)
      planner.replicas = [progress]
      planner.averageCount = Int.random(in: 0...1, using: &random)
      planner.lanes = Int.random(in: 1...3, using: &random)
      let plan = try planner.plan()
      let averages = planner.averageCount == 0 ? [] : Set(points[0]).subtracting(progress.averagesObserved)
      let missing = all.filter { !progress.observed.contains($0) }
      let stored = progress.stored.map { stored in
        let batches = SpelledOut.batches(orders[stored.point.iterate.order], stored.point.iterate.n)
        return Stored(batches: Array(batches.prefix(stored.point.position)), hasAverages: stored.hasAverages)
      }
      let least = leastUpdates(
        states: Set(missing.map { SpelledOut.batches(orders[$0.order], $0.n) }), averages: averages, stored: stored)
      #expect(plan.gradientEvaluations == least, "\(round): \(orders[1].sequence(1)) \(points) \(progress)")
      for seed in UInt64(0)..<3 {
        let checker = try PlanChecker.followAtRandom(plan, lanes: 3, seed: seed, stored: [progress.stored])
        #expect(checker.updates == least)
        #expect(Set(checker.averagesObserved.keys) == averages)
      }
    }
  }

  /// Lanes that start from stored states beside the averaged path leave its averages unchanged.
  @Test func averagesBelongToTheirPath() throws {
    var random = SplitMix(state: 10)
    for round in 0..<cases(300, long: 5000) {
      let orders = [CompositionOrder.forward, .splice(Int.random(in: 1...4, using: &random)), .window(2)]
      let points = Array(stride(from: 5, through: 40, by: 5))
      var progress = ReplicaProgress()
      // A few averages are missing somewhere, and other iterates need later states of forward.
      let gap = points.randomElement(using: &random) ?? 5
      progress.averagesObserved = Set(points).subtracting([gap])
      progress.observed = Set(points.map { Iterate(order: 0, n: $0) })
      for order in 1...2 {
        for n in points where Bool.random(using: &random) { progress.observed.insert(Iterate(order: order, n: n)) }
      }
      for position in stride(from: 4, through: 40, by: 4) where Int.random(in: 0..<4, using: &random) > 0 {
        progress.stored.append(
          .init(PathPoint(Iterate(order: 0, n: 40), position: position), hasAverages: Int.random(in: 0..<4, using: &random) > 0))
      }
      var planner = ReplayPlanner(orders: orders, points: points)
      planner.replicas = [progress]
      planner.averageCount = 1
      planner.lanes = 3
      planner.memorySlots = [nil, 0, 1].randomElement(using: &random) ?? nil
      planner.slotCosts = SlotCosts(step: 1, write: 6, read: 4)
      planner.checkpointInterval = 3
      let plan = try planner.plan()
      for seed in 0..<4 {
        let checker = try PlanChecker.followAtRandom(
          plan, lanes: 3, seed: UInt64(4 * round + seed), stored: [progress.stored])
        #expect(checker.averagesObserved == [gap: 1])
      }
    }
  }
}
