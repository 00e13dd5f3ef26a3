import Formats
import Foundation
import Replay
import Synchronization
import Tensors

/// The times that the parts of a run take on this machine with these numerics. Measuring them takes a few seconds.
public struct Calibration: Codable, Sendable {
  /// The speed of each lane while `lanes` of them are at work.
  public struct Rate: Codable, Sendable {
    public let lanes: Int
    public let secondsPerUpdate: Double
    public let secondsPerObservation: Double
  }

  /// The cost of an update that uses less memory for activations, on one lane.
  public struct RecomputationLevel: Codable, Sendable {
    public let workspaceBytes: Int
    /// The number of forward passes of stages that an update runs more than once.
    public let repeatedPasses: Int
    public let secondsPerUpdate: Double
  }

  /// What storing a training state costs, on one lane.
  public struct StateStorage: Codable, Sendable {
    public let encodeSeconds: Double
    public let decodeSeconds: Double
    /// The time to write an encoded state until it is safe from a power cut.
    public let writeSeconds: Double
    public let readSeconds: Double
    /// The size of a checkpoint taken after some updates; `differenceBytes` is that of one stored as the difference
    /// to the state one update before.
    public let bytes: Int
    public let differenceBytes: Int

    public var saveSeconds: Double { encodeSeconds + writeSeconds }
  }

  public let fingerprint: String
  /// The rates in ascending order of lanes, from 1 up.
  public let rates: [Rate]
  /// Three levels at most, from most memory to least; a single one if the problem can't do with less.
  public let recomputation: [RecomputationLevel]
  public let storage: StateStorage

  /// Measures trial updates of the specified run, of which nothing is kept.
  /// - Parameters:
  ///   - levels: The memory levels with their times, among which is that of the specification.
  ///   - times: The times of a long update, which is not measured again; nil to measure whole updates.
  ///   - folder: The folder whose disk is measured by writing and reading a temporary state file.
  init<Problem>(
    _ specification: RunSpecification<Problem>, levels: [MemoryLevel<Problem>], _ times: LongUpdate<Problem>?,
    _ measurement: TimeMeasurement, in folder: String
  ) throws {
    fingerprint = NumericsFingerprint.current(for: specification.problem)
    // More lanes than a memory budget has room for would take that memory now.
    let most = specification.memoryChoice?.lanes ?? ProcessInfo.processInfo.activeProcessorCount
    rates = try Self.rates(specification, lanes: most, times, measurement)
    recomputation = try Self.recomputation(specification, levels, update: rates[0].secondsPerUpdate, times, measurement)
    measurement.report("a checkpoint on its way to the disk and back")
    storage = try times == nil
      ? StateStorage(updating: specification, isLong: rates[0].secondsPerUpdate > Self.longUpdate, in: folder)
      : StateStorage(ofLarge: specification, in: folder)
  }

  /// Measures 1, 2, 4, … lanes working at once, up to `lanes` but no more than there are cores.
  static func rates<Problem>(
    _ specification: RunSpecification<Problem>, lanes: Int, _ times: LongUpdate<Problem>? = nil,
    _ measurement: TimeMeasurement = TimeMeasurement()
  ) throws -> [Rate] {
    let most = min(lanes, ProcessInfo.processInfo.activeProcessorCount)
    let counts = Set([1, min(specification.resources.lanes, most)] + sequence(first: 2) { 2 * $0 }.prefix { $0 <= most })
    guard let times else {
      return try counts.sorted().map { lanes in
        measurement.report("updates and observations on \(lanes) \(lanes == 1 ? "lane" : "lanes")")
        return try rate(specification, lanes: lanes)
      }
    }
    // Lanes slow down the sample as they do the whole.
    let sample = try specification.with(times.sample.problem)
    let rates = try counts.sorted().map { lanes in
      measurement.report("a sample of an update and an observation on \(lanes) \(lanes == 1 ? "lane" : "lanes")")
      return try rate(sample, lanes: lanes, isBrief: true)
    }
    let observation = rates[0].secondsPerObservation * times.sample.observationFactor + times.seconds * times.sample.observationUpdates
    return rates.map { rate in
      let slowdown = rate.secondsPerUpdate / rates[0].secondsPerUpdate
      return Rate(lanes: rate.lanes, secondsPerUpdate: times.seconds * slowdown, secondsPerObservation: observation * slowdown)
    }
  }

  /// The rate of a lane while `busy` lanes are at work on average, interpolated between the measured ones.
  public func rate(busy: Double) -> (secondsPerUpdate: Double, secondsPerObservation: Double) {
    Self.rate(busy: busy, among: rates)
  }

  static func rate(busy: Double, among rates: [Rate]) -> (secondsPerUpdate: Double, secondsPerObservation: Double) {
    let above = rates.firstIndex { Double($0.lanes) >= busy } ?? rates.count - 1
    let (a, b) = (rates[max(0, above - 1)], rates[above])
    let width = Double(b.lanes - a.lanes)
    let share = width > 0 ? min(1, max(0, (busy - Double(a.lanes)) / width)) : 0
    func between(_ x: Double, _ y: Double) -> Double { x + share * (y - x) }
    return (
      between(a.secondsPerUpdate, b.secondsPerUpdate), between(a.secondsPerObservation, b.secondsPerObservation)
    )
  }

  /// Medians over several windows reduce the influence of other work on the machine.
  /// - Parameter isBrief: Whether an update or two suffice, and on several lanes no observation is needed.
  private static func rate<Problem>(
    _ specification: RunSpecification<Problem>, lanes: Int, isBrief: Bool = false
  ) throws -> Rate {
    let measured = Lock<[(update: Double, observation: Double)]>([])
    let failure = Lock<(any Error)?>(nil)
    let ready = Atomic<Int>(0)
    let group = DispatchGroup()
    for _ in 0..<lanes {
      group.enter()
      Thread.detachNewThread {
        defer { group.leave() }
        do {
          let times = try time(specification, isBrief: isBrief, observes: !isBrief || lanes == 1) {
            ready.add(1, ordering: .relaxed)
            // All lanes start at once, since they slow each other down in a run too.
            while ready.load(ordering: .relaxed) < lanes { usleep(100) }
          }
          measured.withLock { $0.append(times) }
        } catch {
          ready.add(1, ordering: .relaxed)
          failure.withLock { $0 = error }
        }
      }
    }
    group.wait()
    if let error = failure.withLock({ $0 }) { throw error }
    FloatBuffer.returnFreedMemory()
    let all = measured.withLock { $0 }
    return Rate(
      lanes: lanes, secondsPerUpdate: mean(all.map(\.update)), secondsPerObservation: mean(all.map(\.observation)))
  }

  /// The times of one lane. All its memory is free again when this returns.
  @inline(never)
  private static func time<Problem>(
    _ specification: RunSpecification<Problem>, isBrief: Bool, observes: Bool, whenReady wait: () -> Void
  ) throws -> (update: Double, observation: Double) {
    var trial = try TrialLane(specification)
    wait()
    if isBrief {
      var update = try trial.secondsPerUpdate(for: 0)
      if update < longUpdate { update = min(update, try trial.secondsPerUpdate(for: 0)) }
      return (update, try observes ? trial.measurementSeconds(atMost: 0.2) : 0)
    }
    // What a first update pays for touching memory is nothing beside a long one.
    let first = try trial.secondsPerUpdate(for: 0.05)
    guard first < longUpdate else { return (first, try trial.measurementSeconds(atMost: 0.2)) }
    let updates = try (0..<5).map { _ in try trial.secondsPerUpdate(for: 0.08) }.sorted()
    return (updates[2], try trial.measurementSeconds(atMost: 0.2))
  }

  /// Updates that take longer, in seconds, are measured once.
  private static let longUpdate = 0.5

  private static func recomputation<Problem>(
    _ specification: RunSpecification<Problem>, _ levels: [MemoryLevel<Problem>], update: Double, _ times: LongUpdate<Problem>?,
    _ measurement: TimeMeasurement
  ) throws -> [RecomputationLevel] {
    let indices = Set([0, levels.count / 2, levels.count - 1]).sorted()
    let isMeasured = times == nil && levels.count > 1
    if isMeasured { measurement.report("updates in less memory") }
    return try indices.map { index in
      let level = levels[index]
      var seconds = levels.count > 1 ? level.secondsPerUpdate : update
      if isMeasured {
        var trial = try TrialLane(specification.with(level.problem()))
        seconds = try trial.secondsPerUpdate(for: 0.02)
        if seconds < longUpdate { seconds = try trial.secondsPerUpdate(for: 0.1) }
      }
      return RecomputationLevel(
        workspaceBytes: level.memory.workspaceBytes, repeatedPasses: level.repeatedPasses, secondsPerUpdate: seconds)
    }
  }
}

extension Calibration.StateStorage {
  /// Measures the states before and after an update.
  /// - Parameter isLong: Whether an update is too long to be repeated.
  fileprivate init<Problem>(updating specification: RunSpecification<Problem>, isLong: Bool, in folder: String) throws {
    var trial = try TrialLane(specification)
    if !isLong { _ = try trial.secondsPerUpdate(for: 0.1) }
    // Of a large state a part tells as much, and takes neither the time nor the memory of the whole.
    let part = Region(offset: 0, count: min(specification.stateCount, DiskTimes.largestSample))
    var parent = try StateBuffer(count: part.count)
    var state = try StateBuffer(count: part.count)
    try parent.copy(part, of: trial.state.values)
    try trial.update()
    try state.copy(part, of: trial.state.values)
    self = try Self.measured(state, &parent, specification, in: folder) { parent, path in
      try CheckpointFile.write(
        state, updateCount: 1, parent: parent, parentDigest: try Digest(of: parent, updateCount: 0),
        options: CheckpointOptions(level: specification.budgets.checkpoints.level), to: path
      ).byteCount
    }
  }

  /// Measures a part of a made-up state, for a problem whose states are not made for measurements.
  fileprivate init<Problem>(ofLarge specification: RunSpecification<Problem>, in folder: String) throws {
    let state = try DiskTimes.sample(count: min(specification.stateCount, DiskTimes.largestSample))
    var other = try StateBuffer(count: state.count)
    self = try Self.measured(state, &other, specification, in: folder) { _, _ in
      StoredSizes(guessedFor: state.count * MemoryLayout<Float>.stride).differenceBytes
    }
  }

  /// - Parameters:
  ///   - state: A state, or a part of one.
  ///   - other: The state before, which is overwritten.
  ///   - difference: Returns the size of a file with the difference to the state before. It may write one, at the path it is given.
  private static func measured<Problem>(
    _ state: borrowing StateBuffer, _ other: inout StateBuffer, _ specification: RunSpecification<Problem>, in folder: String,
    difference: (borrowing StateBuffer, String) throws -> Int
  ) throws -> Calibration.StateStorage {
    let options = CheckpointOptions(level: specification.budgets.checkpoints.level)
    let path = "\(folder)/.calibration-\(UUID().uuidString)"
    defer { unlink(path) }
    let differenceBytes = try difference(other, path)
    var bytes = try CheckpointFile.write(state, updateCount: 1, options: options, to: path).byteCount
    // The first file also paid for allocating the codec's memory.
    let save = try secondsTaken { bytes = try CheckpointFile.write(state, updateCount: 1, options: options, to: path).byteCount }
    let load = try secondsTaken { try CheckpointFile.read(path, into: &other) }
    var raw = Data()
    let read = try secondsTaken { raw = try Data(contentsOf: URL(fileURLWithPath: path)) }
    let write = try secondsTaken {
      let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
      try file.write(contentsOf: raw)
      try file.synchronize()
      try file.close()
    }
    let parts = Double(specification.stateCount) / Double(max(1, state.count))
    return Calibration.StateStorage(
      encodeSeconds: parts * max(0, save - write), decodeSeconds: parts * max(0, load - read), writeSeconds: parts * write,
      readSeconds: parts * read, bytes: Int(parts * Double(bytes)), differenceBytes: Int(parts * Double(differenceBytes)))
  }

  var sizes: StoredSizes { StoredSizes(bytes: bytes, differenceBytes: differenceBytes) }
}

/// What is known of an update that takes too long to be measured whole again and again.
struct LongUpdate<Problem: TrainingProblem> {
  /// The time of an update on one lane.
  let seconds: Double
  let sample: ProblemSample<Problem>

  /// - Parameter levels: Memory levels with measured times, among which is the specification's own.
  /// - Returns: Nil for an update that is measured whole.
  init?(_ specification: RunSpecification<Problem>, levels: [MemoryLevel<Problem>]) throws {
    let present = levels.first { $0.memory == specification.problem.laneMemory } ?? levels[0]
    guard let sample = try specification.problem.sample(ofUpdate: present.secondsPerUpdate) else { return nil }
    (seconds, self.sample) = (present.secondsPerUpdate, sample)
  }
}

/// A lane that applies trial updates.
struct TrialLane<Problem: TrainingProblem>: ~Copyable {
  private let specification: RunSpecification<Problem>
  private(set) var state: TrainingState
  private var workspace: Problem.Map.Workspace
  private let lastBatch: Int

  init(_ specification: RunSpecification<Problem>) throws {
    // Everything that can throw comes first, since a noncopyable value must be initialized completely or not at all.
    let workspace = try specification.maps[0].makeWorkspace()
    var values = try specification.maps[0].makeState()
    try specification.problem.writeTrialState(to: &values)
    let state = TrainingState(values: values)
    self.specification = specification
    self.state = state
    self.workspace = workspace
    lastBatch = specification.problem.batchCount ?? .max
  }

  mutating func update() throws {
    try specification.maps[0].apply(
      batch: state.updateCount % lastBatch + 1, position: state.updateCount, to: &state.values, workspace: &workspace)
    state.updateCount += 1
  }

  /// The mean time of an update, measured over at least `seconds` seconds.
  mutating func secondsPerUpdate(for seconds: Double) throws -> Double {
    let begin = ContinuousClock.now
    let before = state.updateCount
    repeat { try update() } while .now - begin < .seconds(seconds)
    return (.now - begin) / .seconds(1) / Double(state.updateCount - before)
  }

  mutating func measurementSeconds(atMost seconds: Double) throws -> Double {
    try specification.problem.measurementSeconds(
      state, seed: specification.workload.seeds.lowerBound, workspace: &workspace, atMost: seconds)
  }
}
