import Formats
import Foundation
import Replay
import Synchronization
import Tensors

/// Measured times of what a run does, on this machine and with these numerics. Takes a few seconds.
public struct Calibration: Codable, Sendable {
  /// Of each lane, while so many are at work.
  public struct Rate: Codable, Sendable {
    public let lanes: Int
    public let secondsPerUpdate: Double
    public let secondsPerObservation: Double
  }

  /// An update with less memory for activations, on one lane.
  public struct RecomputationLevel: Codable, Sendable {
    public let workspaceBytes: Int
    /// Forward passes of stages that run more than once.
    public let repeatedPasses: Int
    public let secondsPerUpdate: Double
  }

  /// What storing a training state takes, on one lane.
  public struct StateStorage: Codable, Sendable {
    public let encodeSeconds: Double
    public let decodeSeconds: Double
    /// To where it is safe from a power cut.
    public let writeSeconds: Double
    public let readSeconds: Double
    /// Of a checkpoint after some updates, and of one stored as the difference to the state an update before.
    public let bytes: Int
    public let differenceBytes: Int

    public var saveSeconds: Double { encodeSeconds + writeSeconds }
  }

  public let fingerprint: String
  /// By lanes, from 1 up.
  public let rates: [Rate]
  /// From most memory to least; one where less memory is not to be had.
  public let recomputation: [RecomputationLevel]
  public let storage: StateStorage

  /// Runs trial updates of a run, of which nothing is kept.
  /// - Parameters:
  ///   - specification: the run, of which nothing is trained yet.
  ///   - folder: where a state is written and read for a moment: what a disk takes is measured there.
  public init<Problem>(_ specification: RunSpecification<Problem>, in folder: String) throws {
    fingerprint = NumericsFingerprint.current()
    rates = try Self.rates(specification, lanes: ProcessInfo.processInfo.activeProcessorCount)
    recomputation = try Self.levels(specification)
    storage = try Self.storage(specification, in: folder)
  }

  /// Measures 1, 2, 4, … lanes at work at once, `lanes` at most and no more than there are cores.
  static func rates<Problem>(_ specification: RunSpecification<Problem>, lanes: Int) throws -> [Rate] {
    let most = min(lanes, ProcessInfo.processInfo.activeProcessorCount)
    let counts = Set([1, min(specification.resources.lanes, most)] + sequence(first: 2) { 2 * $0 }.prefix { $0 <= most })
    return try counts.sorted().map { try rate(specification, lanes: $0) }
  }

  /// A lane's rate where `busy` are at work on average, between those measured.
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

  /// Medians over windows keep a noisy machine out.
  private static func rate<Problem>(_ specification: RunSpecification<Problem>, lanes: Int) throws -> Rate {
    let measured = Lock<[(update: Double, observation: Double)]>([])
    let failure = Lock<(any Error)?>(nil)
    let ready = Atomic<Int>(0)
    let group = DispatchGroup()
    for _ in 0..<lanes {
      group.enter()
      Thread.detachNewThread {
        defer { group.leave() }
        do {
          let times = try time(specification) {
            ready.add(1, ordering: .relaxed)
            // All lanes at once, or they would not slow each other down as they do in a run.
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

  /// One lane's times. Its memory is free again when it returns.
  @inline(never)
  private static func time<Problem>(
    _ specification: RunSpecification<Problem>, whenReady wait: () -> Void
  ) throws -> (update: Double, observation: Double) {
    var trial = try TrialLane(specification)
    _ = trial.secondsPerUpdate(for: 0.05)
    wait()
    let updates = (0..<5).map { _ in trial.secondsPerUpdate(for: 0.08) }.sorted()
    return (updates[2], try trial.measurementSeconds(atMost: 0.2))
  }

  private static func levels<Problem>(_ specification: RunSpecification<Problem>) throws -> [RecomputationLevel] {
    let levels = try specification.problem.memoryLevels(isMeasured: false)
    let indices = Set([0, levels.count / 2, levels.count - 1]).sorted()
    return try indices.map { index in
      var trial = try TrialLane(specification.with(levels[index].problem()))
      _ = trial.secondsPerUpdate(for: 0.02)
      return RecomputationLevel(
        workspaceBytes: levels[index].workspaceBytes, repeatedPasses: levels[index].repeatedPasses,
        secondsPerUpdate: trial.secondsPerUpdate(for: 0.1))
    }
  }

  private static func storage<Problem>(
    _ specification: RunSpecification<Problem>, in folder: String
  ) throws -> StateStorage {
    var trial = try TrialLane(specification)
    _ = trial.secondsPerUpdate(for: 0.1)
    var parent = try StateBuffer(count: specification.stateCount)
    parent.copy(from: trial.state.values)
    trial.update()
    let options = CheckpointOptions(level: specification.budgets.checkpoints.level)
    let path = "\(folder)/.calibration-\(UUID().uuidString)"
    defer { unlink(path) }
    let difference = try CheckpointFile.write(
      trial.state.values, updateCount: 1, parent: parent, parentDigest: Digest(of: parent, updateCount: 0), options: options, to: path
    ).byteCount
    var bytes = 0
    // The first file also paid for the codec's memory.
    let save = try secondsTaken { bytes = try CheckpointFile.write(trial.state.values, updateCount: 1, options: options, to: path).byteCount }
    let load = try secondsTaken { try CheckpointFile.read(path, into: &parent) }
    var raw = Data()
    let read = try secondsTaken { raw = try Data(contentsOf: URL(fileURLWithPath: path)) }
    let write = try secondsTaken {
      let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
      try file.write(contentsOf: raw)
      try file.synchronize()
      try file.close()
    }
    return StateStorage(
      encodeSeconds: max(0, save - write), decodeSeconds: max(0, load - read), writeSeconds: write, readSeconds: read,
      bytes: bytes, differenceBytes: difference)
  }
}

/// A lane of trial updates.
struct TrialLane<Problem: TrainingProblem>: ~Copyable {
  private let specification: RunSpecification<Problem>
  private(set) var state: TrainingState
  private var workspace: Problem.Map.Workspace
  private let lastBatch: Int

  init(_ specification: RunSpecification<Problem>) throws {
    // What can fail comes first: a type that can't be copied is made whole or not at all.
    let workspace = try specification.maps[0].makeWorkspace()
    let state = try specification.initialState(replica: 0)
    self.specification = specification
    self.state = state
    self.workspace = workspace
    lastBatch = specification.problem.batchCount ?? .max
  }

  mutating func update() {
    specification.maps[0].apply(
      batch: state.updateCount % lastBatch + 1, position: state.updateCount, to: &state.values, workspace: &workspace)
    state.updateCount += 1
  }

  /// The mean over updates for so long, two at least.
  mutating func secondsPerUpdate(for seconds: Double) -> Double {
    let begin = ContinuousClock.now
    let before = state.updateCount
    repeat { update() } while state.updateCount - before < 2 || .now - begin < .seconds(seconds)
    return (.now - begin) / .seconds(1) / Double(state.updateCount - before)
  }

  mutating func measurementSeconds(atMost seconds: Double) throws -> Double {
    try specification.problem.measurementSeconds(
      state, seed: specification.workload.seeds.lowerBound, workspace: &workspace, atMost: seconds)
  }
}
