import Foundation
import Replay
import Synchronization
import Tensors
import TestSupport
import Testing

/// Lets other lanes run at points where they rarely would: during a call of a store.
private func letOthersRun() {
  usleep(UInt32.random(in: 0...20))
  sched_yield()
}

/// Cancels a replay while it runs.
private final class Interrupter: Sendable {
  private struct Watch {
    var updatesLeft = Int.max
    var stop: (@Sendable () -> Void)?
  }
  private let watch = Mutex(Watch())

  func arm(after updates: Int) { watch.withLock { $0 = Watch(updatesLeft: updates) } }

  /// - Parameter stop: Called after the updates given to `arm`, or at once if these have been applied.
  func attach(_ stop: @escaping @Sendable () -> Void) {
    let isLate = watch.withLock { watch in
      watch.stop = stop
      return watch.updatesLeft <= 0
    }
    if isLate { stop() }
  }

  func tick() {
    let stop = watch.withLock { watch -> (@Sendable () -> Void)? in
      watch.updatesLeft -= 1
      return watch.updatesLeft == 0 ? watch.stop : nil
    }
    stop?()
  }
}

/// A map that does not commute and depends on batch and position.
private struct TwistMap: UpdateMap {
  let salt: Float
  var interrupter: Interrupter?
  let stateCount = 3
  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    if let interrupter {
      interrupter.tick()
      if position % 2 == 0 { letOthersRun() }
    }
    let (x, y) = (state[0], state[1])
    state[0] = 0.9 * y + salt * Float(batch % 97)
    state[1] = x * (1 - 0.001 * Float(batch % 89)) + 0.01 * Float(position)
    state[2] = state[2] * 0.5 + x
  }
}

/// The name of an observed series, such as "tail:3" or "average 0".
private struct Seen: Hashable {
  let replica: Int
  let series: String
  let n: Int
}

private final class Recorder: IterateObserver {
  private let orders: [String]
  private let digests = Mutex<[Seen: Digest]>([:])
  private let isSlow: Bool

  init(_ orders: [CompositionOrder], isSlow: Bool) {
    self.orders = orders.map(\.description)
    self.isSlow = isSlow
  }

  var seen: [Seen: Digest] { digests.withLock { $0 } }

  func observe(_ iterates: [Iterate], replica: Int, state: borrowing TrainingState, workspace: inout Void) throws {
    let digest = try state.digest
    for iterate in iterates { record(digest, Seen(replica: replica, series: orders[iterate.order], n: iterate.n)) }
  }

  func observeAverage(_ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout Void) throws {
    record(try state.digest, Seen(replica: replica, series: "average \(index)", n: n))
  }

  private func record(_ digest: Digest, _ key: Seen) {
    if isSlow { letOthersRun() }
    let before = digests.withLock { $0.updateValue(digest, forKey: key) }
    if let before, before != digest { Issue.record("\(key) was observed with other bits") }
  }

  func forget(_ isLost: (Seen) -> Bool) {
    digests.withLock { digests in digests = digests.filter { !isLost($0.key) } }
  }
}

/// Checkpoints in slow memory.
private final class MemoryStore: CheckpointStore {
  struct Key: Hashable {
    let replica: Int
    let series: String
    let n: Int
    let position: Int
  }
  struct Entry: Sendable {
    let state: StoredState
    let averages: [StoredState]
  }
  private let orders: [String]
  private let contents = Mutex<[Key: Entry]>([:])
  /// The stored states that the planner was told of, by replica.
  private let offered = Mutex<[[Entry]]>([])

  init(_ orders: [CompositionOrder]) { self.orders = orders.map(\.description) }

  var entries: [Key: Entry] { contents.withLock { $0 } }

  func save(_ state: borrowing TrainingState, averages: [StoredState], replica: Int, at point: PathPoint) throws {
    letOthersRun()
    let key = Key(
      replica: replica, series: orders[point.iterate.order], n: point.iterate.n, position: state.updateCount)
    #expect(point.position == state.updateCount)
    let entry = Entry(state: try copy(state), averages: try averages.map { try $0.read { state in letOthersRun(); return try copy(state) } })
    letOthersRun()
    contents.withLock { contents in
      if (contents[key]?.averages.count ?? -1) < entry.averages.count { contents[key] = entry }
    }
  }

  func restore(_ stored: Int, replica: Int, into state: inout TrainingState, averages: [StoredState]) throws {
    let entry = offered.withLock { $0[replica][stored] }
    letOthersRun()
    try entry.state.copy(to: &state)
    letOthersRun()
    for (average, stored) in zip(averages, entry.averages) {
      try stored.read { stored throws in try average.copy(from: stored) }
      letOthersRun()
    }
  }

  private func copy(_ state: borrowing TrainingState) throws -> StoredState {
    let stored = try StoredState(count: state.values.count)
    try stored.copy(from: state)
    return stored
  }

  /// The progress to plan from: what is stored, except what is lost.
  func offer(replicas: Int, isLost: (Key) -> Bool) -> [[ReplicaProgress.StoredPoint]] {
    let kept = contents.withLock { contents in
      contents = contents.filter { !isLost($0.key) }
      return contents
    }
    let lists = (0..<replicas).map { replica in kept.filter { $0.key.replica == replica }.map { ($0.key, $0.value) } }
    offered.withLock { $0 = lists.map { $0.map(\.1) } }
    return lists.map { list in
      list.map { key, entry in
        let iterate = Iterate(order: orders.firstIndex(of: key.series) ?? 0, n: key.n)
        return .init(PathPoint(iterate, position: key.position), hasAverages: !entry.averages.isEmpty)
      }
    }
  }
}

/// Slots on a slow disk.
private struct SlowDisk: SlotStorage {
  let disk = FakeDisk()
  func save(_ state: borrowing TrainingState, slot: Int) throws {
    letOthersRun()
    try disk.save(state, slot: slot)
    letOthersRun()
  }
  func load(slot: Int, into state: inout TrainingState) throws {
    letOthersRun()
    try disk.load(slot: slot, into: &state)
    letOthersRun()
  }
  func release(slot: Int) throws { try disk.release(slot: slot) }
}

/// Combinations of orders, fixed and adaptive schedules, averages, lanes, slots, interruptions, losses and extensions
/// are compared with one lane that is never disturbed.
@Suite struct RandomDeterminismTests {
  private struct Scenario {
    let orders: [CompositionOrder]
    let rules: [AverageRule]
    let replicas: Int
    let lengths: [Int]
    let isAdaptive: Bool
    let first: [Int]

    init(_ random: inout SplitMix) {
      var orders = Array(SpelledOut.orders(maximumSize: 6)[1...].shuffled(using: &random).prefix(Int.random(in: 0...3, using: &random)))
      if Int.random(in: 0..<3, using: &random) > 0 { orders.append(.splice(Int.random(in: 1...6, using: &random))) }
      orders = Array(Set(orders)).sorted { $0.description < $1.description }
      if orders.isEmpty || Int.random(in: 0..<5, using: &random) > 0 { orders.insert(.forward, at: 0) }
      self.orders = orders
      rules = Array([.exponential(0.75), .uniform, .polynomial(3)].prefix(Int.random(in: 0...3, using: &random)))
      replicas = Int.random(in: 1...2, using: &random)
      let length = Int.random(in: 10...40, using: &random)
      // The last round extends the run.
      lengths = [length, length, length + Int.random(in: 0...30, using: &random)]
      isAdaptive = Bool.random(using: &random)
      let stride = Int.random(in: 1...8, using: &random)
      first = Array(Swift.stride(from: stride, to: length, by: stride)) + [length]
    }

    /// The points of a round: those of the schedule, or those that observations lead to.
    func points(_ known: [[Int]], round: Int, seen: (Seen) -> Digest?) -> [[Int]] {
      zip(orders, known).map { order, known in
        let length = lengths[round]
        guard isAdaptive, round > 0 else { return Array(Set(known + first + [length])).sorted() }
        var added = [length]
        for n in known.suffix(4) {
          let digest = seen(Seen(replica: 0, series: order.description, n: n)).map { "\($0)" } ?? ""
          added.append(1 + digest.utf8.reduce(0) { ($0 * 31 + Int($1)) % 65_537 } % length)
        }
        return Array(Set(known + added)).sorted()
      }
    }
  }

  private func initial(_ replica: Int) throws -> TrainingState {
    var values = try StateBuffer(count: 3)
    for index in 0..<3 { values[index] = Float(index + 1 + 10 * replica) }
    return TrainingState(values: values)
  }

  private func engine(
    _ scenario: Scenario, _ recorder: Recorder, _ interrupter: Interrupter? = nil, store: MemoryStore? = nil
  ) throws -> ReplayEngine<TwistMap, Recorder> {
    ReplayEngine(
      maps: (0..<scenario.replicas).map { TwistMap(salt: 0.25 - 0.75 * Float($0), interrupter: interrupter) },
      initialStates: try (0..<scenario.replicas).map { .kept(StoredState(try initial($0))) }, observer: recorder,
      averages: scenario.rules, checkpoints: store, diskSlots: SlowDisk())
  }

  private func planner(_ scenario: Scenario, _ points: [[Int]]) -> ReplayPlanner {
    var planner = ReplayPlanner(orders: scenario.orders, points: points)
    planner.replicas = Array(repeating: ReplicaProgress(), count: scenario.replicas)
    planner.averageCount = scenario.rules.count
    return planner
  }

  /// Uses one lane, stores nothing and is never stopped.
  private func undisturbed(_ scenario: Scenario) async throws -> (points: [[Int]], seen: [Seen: Digest]) {
    let recorder = Recorder(scenario.orders, isSlow: false)
    var points = scenario.orders.map { _ in [Int]() }
    for round in scenario.lengths.indices {
      points = scenario.points(points, round: round) { recorder.seen[$0] }
      _ = try await engine(scenario, recorder).run(try planner(scenario, points).plan(), lanes: 1)
    }
    return (points, recorder.seen)
  }

  private func disturbed(_ scenario: Scenario, _ random: inout SplitMix) async throws -> (points: [[Int]], seen: [Seen: Digest]) {
    let recorder = Recorder(scenario.orders, isSlow: true)
    let store = MemoryStore(scenario.orders)
    var points = scenario.orders.map { _ in [Int]() }
    for round in scenario.lengths.indices {
      points = scenario.points(points, round: round) { recorder.seen[$0] }
      var attempts = 0
      while true {
        attempts += 1
        let stored = lose(attempts, scenario.lengths[round], recorder, store, replicas: scenario.replicas, &random)
        var planner = planner(scenario, points)
        for replica in 0..<scenario.replicas {
          for (order, n) in zip(scenario.orders.indices, points).flatMap({ order, points in points.map { (order, $0) } }) {
            let name = scenario.orders[order].description
            if recorder.seen[Seen(replica: replica, series: name, n: n)] != nil {
              planner.replicas[replica].observed.insert(Iterate(order: order, n: n))
            }
          }
          planner.replicas[replica].averagesObserved = Set(
            points.joined().filter { n in
              scenario.rules.indices.allSatisfy { recorder.seen[Seen(replica: replica, series: "average \($0)", n: n)] != nil }
            })
          planner.replicas[replica].stored = stored[replica]
        }
        planner.lanes = Int.random(in: 1...4, using: &random)
        planner.observationCost = Double(Int.random(in: 0...5, using: &random))
        planner.checkpointInterval = [nil, 1, 3, 7].randomElement(using: &random) ?? nil
        planner.memorySlots = [nil, nil, 0, 1, 2].randomElement(using: &random) ?? nil
        planner.slotCosts = SlotCosts(step: 1, write: Double(Int.random(in: 0...9, using: &random)), read: 2, start: 1)
        let plan = try planner.plan()
        let interrupter = Interrupter()
        if attempts <= 4, plan.gradientEvaluations > 0, Bool.random(using: &random) {
          interrupter.arm(after: Int.random(in: 1...plan.gradientEvaluations, using: &random))
        }
        let engine = try engine(scenario, recorder, interrupter, store: store)
        let lanes = planner.lanes
        let replay = Task { try await engine.run(plan, lanes: lanes) }
        interrupter.attach { replay.cancel() }
        do {
          let summary = try await replay.value
          #expect(summary.gradientEvaluations == plan.gradientEvaluations)
          // Occasionally something finished is lost.
          if attempts > 3 || Bool.random(using: &random) { break }
        } catch is CancellationError {
          continue
        }
      }
    }
    try await check(store, scenario)
    return (points, recorder.seen)
  }

  /// Loses some rows and states, or none; in the last rounds none, so that the test ends.
  /// - Returns: The remaining states, by replica.
  private func lose(
    _ attempt: Int, _ length: Int, _ recorder: Recorder, _ store: MemoryStore, replicas: Int, _ random: inout SplitMix
  ) -> [[ReplicaProgress.StoredPoint]] {
    var losses = random
    defer { random = losses }
    switch attempt > 3 ? 0 : Int.random(in: 0..<4, using: &losses) {
    case 0:
      return store.offer(replicas: replicas) { _ in false }
    case 1:
      let share = Int.random(in: 2...9, using: &losses)
      recorder.forget { _ in Int.random(in: 0..<share, using: &losses) == 0 }
      return store.offer(replicas: replicas) { _ in Int.random(in: 0..<share, using: &losses) == 0 }
    default:
      // Loses averages at some n, and states on other paths behind them, which start from later states of forward's.
      let cut = Int.random(in: 1...length, using: &losses)
      recorder.forget { seen in
        seen.series.hasPrefix("average") ? (cut - 6...cut).contains(seen.n)
          : seen.series != "forward" && seen.n > cut && Bool.random(using: &losses)
      }
      return store.offer(replicas: replicas) { _ in false }
    }
  }

  /// Checks that every stored state and average has the right content.
  private func check(_ store: MemoryStore, _ scenario: Scenario) async throws {
    let recorder = Recorder([.forward], isSlow: false)
    var averages = ReplayPlanner(orders: [.forward], points: Array(1...(scenario.lengths.max() ?? 1)))
    averages.averageCount = scenario.rules.count
    averages.replicas = Array(repeating: ReplicaProgress(), count: scenario.replicas)
    _ = try await engine(scenario, recorder).run(try averages.plan(), lanes: 1)
    let expected = recorder.seen
    for (key, entry) in store.entries {
      let order = try #require(scenario.orders.first { $0.description == key.series })
      var state = try initial(key.replica)
      var nothing: Void = ()
      let map = TwistMap(salt: 0.25 - 0.75 * Float(key.replica))
      for (position, batch) in SpelledOut.batches(order, key.n).prefix(key.position).enumerated() {
        map.apply(batch: batch, position: position, to: &state.values, workspace: &nothing)
        state.updateCount += 1
      }
      #expect(try entry.state.digest == state.digest, "\(key)")
      for (index, average) in entry.averages.enumerated() {
        let average = try average.digest
        #expect(average == expected[Seen(replica: key.replica, series: "average \(index)", n: key.position)], "\(key)")
      }
    }
  }

  @Test func whateverHappensTheBitsAreThoseOfOneLane() async throws {
    var random = SplitMix(state: 11)
    for round in 0..<cases(60, long: 3000) {
      let scenario = Scenario(&random)
      let expected = try await undisturbed(scenario)
      let found = try await disturbed(scenario, &random)
      #expect(found.points == expected.points, "\(round): \(scenario)")
      for (key, digest) in expected.seen { #expect(found.seen[key] == digest, "\(round): \(key) of \(scenario)") }
      #expect(found.seen.count == expected.seen.count)
    }
  }
}
