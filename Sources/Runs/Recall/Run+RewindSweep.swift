import Formats
import Foundation
import Replay
import Tensors

extension Run {
  /// Rewinds an iterate's path with different slots, one after the other, and measures each rewind.
  ///
  /// Every state visited is compared with the same state of a replay that runs through the sequence once. If slots
  /// round nothing, it must have the same bits.
  /// - Parameters:
  ///   - n: The iterate to rewind from, as for `rewind`.
  ///   - willMeasure: Called with the number of rewinds and of all their updates; an error that it throws prevents
  ///     the sweep.
  ///   - didMeasure: Called after each rewind.
  /// - Throws: `RunError.impossible`, before anything is measured, if memory or disk has no room for the largest
  ///   rewind.
  public func sweepRewinds(
    order: CompositionOrder, n: Int, to: Int = 0, seed: Int, request: RewindSweep.Request,
    progress: ReplayProgress = ReplayProgress(), willMeasure: (_ rewinds: Int, _ updates: Int) throws -> Void = { _, _ in },
    didMeasure: (RewindSweep.Point) -> Void = { _ in }
  ) throws -> RewindSweep {
    let sequence = try path(of: order, n, to: to)
    let initial = StoredState(try specification.initialState(replica: replica(ofSeed: seed)))
    let sweep = Sweep(
      run: self, map: specification.maps[try replica(ofSeed: seed)], seed: seed, sequence: sequence, positions: to..<sequence.count,
      initial: initial, progress: progress)
    let walks = try sweep.walks(request)
    let updates = request.rounds * walks.reduce(0) { $0 + $1.schedule.updates }
    try willMeasure(walks.count * request.rounds, updates)
    progress.expect(updates: updates + sequence.count - 1)
    let exact = try sweep.exactPath()
    var points: [RewindSweep.Point] = []
    for round in 0..<request.rounds {
      for (index, walk) in walks.enumerated() {
        let point = try sweep.measure(walk, against: exact, comparesRounded: round == 0)
        didMeasure(point)
        if round == 0 { points.append(point) } else { points[index].seconds = min(points[index].seconds, point.seconds) }
      }
    }
    return RewindSweep(
      run: folder.path, order: order.description, seed: seed, from: sequence.count, to: to, stateBytes: specification.stateBytes,
      firstPassUpdates: sequence.count - 1, least: request.least, points: points)
  }
}

/// The number of slots for the exact states that rounded ones are compared with. An update is then seldom applied
/// more than three times.
private let referenceSlots = 32

/// The rewinds of one path.
private struct Sweep<Problem: TrainingProblem> {
  let run: Run<Problem>
  let map: Problem.Map
  let seed: Int
  let sequence: BatchSequence
  let positions: Range<Int>
  let initial: StoredState
  let progress: ReplayProgress
  private var specification: RunSpecification<Problem> { run.specification }

  /// A rewind to be measured.
  struct Walk {
    let tier: SlotTier
    let precision: CheckpointPrecision
    let schedule: RewindSchedule
    /// Whether measured times determined the schedule.
    let isTimed: Bool
  }

  /// The exact states of the path, from `positions.lowerBound` on.
  struct ExactPath {
    var digests: [Digest] = []
    /// The training loss at each state; nil if the problem computes none.
    var trainingLosses: [Double?] = []
  }

  /// The rewinds of a request, each once: numbers of slots beyond the largest useful one are equivalent.
  func walks(_ request: RewindSweep.Request) throws -> [Walk] {
    var walks: [Walk] = []
    for tier in request.tiers {
      for precision in request.precisions {
        let isTimed = tier == .disk && request.least == .time
        let files = isTimed ? try SlotFiles.ofRewind(run.folder, specification, precision) : nil
        defer { files?.removeAll() }
        let costs = try files.map { try run.costs(initial: initial, files: $0) }
        var last: Int?
        for count in request.slots.sorted() {
          try Task.checkCancellation()
          let memory = tier == .memory ? count : 0
          let disk = tier == .disk ? count : 0
          let schedule =
            if let costs {
              try RewindSchedule(visiting: positions, memorySlots: memory, diskSlots: disk, costs: costs)
            } else {
              try RewindSchedule.fewestUpdates(visiting: positions, memorySlots: memory, diskSlots: disk)
            }
          let used = schedule.memorySlots + schedule.diskSlots
          guard used != last else { continue }
          last = used
          walks.append(Walk(tier: tier, precision: precision, schedule: schedule, isTimed: isTimed))
        }
      }
    }
    try checkRoom(for: walks)
    return walks
  }

  private func checkRoom(for walks: [Walk]) throws {
    for walk in walks {
      let bytes = RewindStores.bytes(specification, walk.precision)
      try RewindStores.checkMemory(slots: walk.schedule.memorySlots, bytes: bytes)
      let slots = walk.schedule.diskSlots
      let attributes = try? FileManager.default.attributesOfFileSystem(forPath: run.folder.path)
      guard let free = attributes?[.systemFreeSize] as? Int, slots > free / bytes else { continue }
      throw RunError.impossible(
        """
        `slots`: \(slots) states of \(bytes) bytes do not fit the \(free >> 20) MiB that are free on the disk of \
        \(run.folder.path); give at most \(free / bytes), or make room
        """)
    }
  }

  /// Runs through the sequence once and records the digest and training loss of each state.
  func exactPath() throws -> ExactPath {
    var path = ExactPath()
    var executor = try BatchRunExecutor(for: map, progress: progress)
    var copy = try StateBuffer(count: map.stateCount)
    var state = TrainingState(values: try StateBuffer(count: map.stateCount))
    initial.read { state.copy(from: $0) }
    for position in 0..<positions.upperBound {
      let batch = sequence[position]
      if position >= positions.lowerBound {
        copy.copy(from: state.values)
        let loss = try run.problem.trainingLoss(batch: batch, seed: seed, of: &copy, workspace: &executor.workspace)
        guard loss?.isFinite ?? true else {
          throw RunError.impossible(
            "the training loss of state \(position) on the path is not finite: the updates diverge; rewind another iterate")
        }
        path.trainingLosses.append(loss)
        path.digests.append(state.digest)
      }
      try executor.apply(BatchRun(batch, batch), of: map, to: &state)
    }
    return path
  }

  /// - Parameter comparesRounded: Whether rounded states are compared with exact ones, which is needed only once.
  func measure(_ walk: Walk, against exact: ExactPath, comparesRounded: Bool) throws -> RewindSweep.Point {
    let schedule = walk.schedule
    let files = schedule.diskSlots > 0 ? try SlotFiles.ofRewind(run.folder, specification, walk.precision) : nil
    defer { files?.removeAll() }
    // The memory of the previous rewind must not be available already.
    FloatBuffer.returnFreedMemory()
    let begin = ContinuousClock.now
    let stores = try RewindStores(specification, slots: schedule.memorySlots, precision: walk.precision, files: files)
    var rewinder = try Rewinder(
      map, along: sequence, from: initial, schedule: schedule, storage: stores.disk, memory: stores.memory, progress: progress)
    var seconds = (.now - begin) / .seconds(1)
    let isRounded = walk.precision != .float32
    var comparison = isRounded && comparesRounded ? try Comparison(self, exact) : nil
    var identical = 0
    while true {
      let begin = ContinuousClock.now
      let next = try rewinder.next()
      seconds += (.now - begin) / .seconds(1)
      guard let position = next else { break }
      let isIdentical = rewinder.state.digest == exact.digests[position - positions.lowerBound]
      identical += isIdentical ? 1 : 0
      if !isRounded, !isIdentical {
        throw RunError.damaged(
          """
          state \(position) has other bits when rewound with \(schedule.memorySlots) slots in memory and \(schedule.diskSlots) \
          on disk than in a replay: this machine's memory or processor is damaged
          """)
      }
      try comparison?.add(rewinder.state, at: position, isIdentical: isIdentical, precision: walk.precision)
    }
    let memory = stores.memory.use
    let disk = stores.disk?.use
    return RewindSweep.Point(
      tier: "\(walk.tier)", precision: walk.precision.description, slots: memory.peakSlots + (disk?.peakSlots ?? 0),
      storedBytes: memory.peakBytes + (disk?.peakBytes ?? 0), updates: rewinder.updates, predictedUpdates: schedule.updates,
      recomputedUpdates: rewinder.updates - (sequence.count - 1), seconds: seconds,
      predictedSeconds: walk.isTimed ? schedule.seconds : nil, diskWrites: disk?.saves ?? 0, diskReads: disk?.loads ?? 0,
      identicalStates: identical, states: positions.count, error: comparison?.error)
  }

  /// Compares approximate states with the exact ones, which a second rewinder visits at the same time.
  struct Comparison: ~Copyable {
    private(set) var error = RewindSweep.SlotError()
    private let sweep: Sweep<Problem>
    private let exact: ExactPath
    private var reference: Rewinder<Problem.Map>
    private var workspace: Problem.Map.Workspace
    private var copy: StateBuffer
    private var start: TrainingState

    init(_ sweep: Sweep<Problem>, _ exact: ExactPath) throws {
      let count = sweep.map.stateCount
      let workspace = try sweep.map.makeWorkspace()
      let copy = try StateBuffer(count: count)
      var start = TrainingState(values: try StateBuffer(count: count))
      sweep.initial.read { start.copy(from: $0) }
      reference = try Rewinder(
        sweep.map, along: sweep.sequence, from: sweep.initial,
        schedule: try .fewestUpdates(visiting: sweep.positions, memorySlots: referenceSlots))
      self.sweep = sweep
      self.exact = exact
      self.workspace = workspace
      self.copy = copy
      self.start = start
    }

    mutating func add(
      _ state: borrowing TrainingState, at position: Int, isIdentical: Bool, precision: CheckpointPrecision
    ) throws {
      _ = try reference.next()
      guard !isIdentical else { return }
      let length = sweep.run.specification.namedCount
      let way = reference.state.values.distance(to: start.values, first: length)
      let distance = state.values.distance(to: reference.state.values, first: length)
      copy.copy(from: state.values)
      let loss = try sweep.run.problem.trainingLoss(
        batch: sweep.sequence[position], seed: sweep.seed, of: &copy, workspace: &workspace)
      guard distance.isFinite, loss?.isFinite ?? true else {
        throw RunError.impossible(
          """
          `slot-precision` \(precision): state \(position) is not finite, because rounded states it was computed from had values \
          beyond what \(precision) holds; leave it out
          """)
      }
      let exactLoss = exact.trainingLosses[position - sweep.positions.lowerBound]
      let difference = loss.flatMap { loss in exactLoss.map { abs(loss - $0) } } ?? 0
      error.add(
        distance: distance / max(way, .leastNormalMagnitude),
        lossDifference: difference, of: sweep.positions.count)
    }
  }
}
