import Formats
import Foundation
import Replay
import Tensors

/// Where a run's memory goes, before it is taken.
public struct MemoryEstimate: Codable, Sendable {
  public struct Term: Codable, Sendable {
    public let name: String
    public let bytes: Int
  }

  /// Together `peakBytes`.
  public let terms: [Term]

  /// The largest resident size of the process.
  public var peakBytes: Int { terms.reduce(0) { $0 + $1.bytes } }
}

/// What the memory of a run depends on of its plan. The plan itself need not be kept for it.
struct PlanFootprint {
  let segmentCount: Int
  var memorySlots: Int
  var diskSlots: Int
  let averagesKept: Int
  let checkpoints: (states: Int, averages: Int)
  let observations: Int
  /// Of the plan, and of what following it takes besides.
  let bytes: Int
  let boardBytes: Int

  init(_ plan: ReplayPlan) {
    segmentCount = plan.segmentCount
    memorySlots = plan.memorySlots
    diskSlots = plan.diskSlots
    averagesKept = plan.averagesKept
    checkpoints = plan.checkpointCounts
    observations = plan.observationCount + plan.averageObservationCount
    bytes = plan.byteCount
    boardBytes = plan.boardByteCount
  }
}

extension RunSpecification {
  /// The memory of a run of `plan`. Call it when the data is read and nothing but the plan is allocated besides: it begins with
  /// what the process has taken so far.
  /// - Parameters:
  ///   - plan: what is followed.
  ///   - isOpen: whether the run's folder and database are open already.
  public func memoryEstimate(_ plan: ReplayPlan, isOpen: Bool = false) -> MemoryEstimate {
    FloatBuffer.returnFreedMemory()
    return memoryEstimate(
      PlanFootprint(plan), lanes: resources.lanes, workspaceBytes: problem.workspaceBytes, isOpen: isOpen,
      process: ResidentMemory.Sizes().without(plan.byteCount))
  }

  /// - Parameters:
  ///   - workspaceBytes: of one lane.
  ///   - process: what the process had taken when nothing but the data was allocated.
  func memoryEstimate(
    _ plan: PlanFootprint, lanes: Int, workspaceBytes: Int, isOpen: Bool, process: ResidentMemory.Sizes
  ) -> MemoryEstimate {
    let lanes = min(lanes, max(1, plan.segmentCount))
    // So many are at work at one time.
    let threads = min(lanes, ProcessInfo.processInfo.activeProcessorCount)
    let data = problem.residentBytes
    let kept = plan.memorySlots + plan.averagesKept * maps.count
    var terms = [
      MemoryEstimate.Term(name: "data set", bytes: data),
      MemoryEstimate.Term(name: "program and libraries", bytes: max(0, process.current - data)),
      MemoryEstimate.Term(name: "plan", bytes: plan.bytes + plan.boardBytes),
      MemoryEstimate.Term(name: "states of lanes", bytes: lanes * stateBytes),
      MemoryEstimate.Term(name: "initial states, slots and averages", bytes: keptStartBytes + kept * stateBytes),
      MemoryEstimate.Term(
        name: "activations", bytes: lanes * workspaceBytes),
      MemoryEstimate.Term(
        name: "buffers of libraries",
        bytes: threads * Overhead.thread + Overhead.run + (isOpen ? 0 : Overhead.database)),
      MemoryEstimate.Term(name: "observations", bytes: observationBytes(plan.observations)),
    ]
    if plan.checkpoints.states > 0 || plan.diskSlots > 0 {
      var bytes = min(Overhead.codec, 4 * stateBytes + (1 << 17))
      // A difference needs its parent.
      if budgets.checkpoints.chainLength > 0 { bytes += stateBytes }
      let writers = plan.diskSlots > 0 ? threads : min(threads, plan.checkpoints.states)
      terms.append(MemoryEstimate.Term(name: "checkpoint codec", bytes: writers * bytes))
    }
    if plan.checkpoints.states > 0 {
      terms.append(MemoryEstimate.Term(name: "records of checkpoints", bytes: recordBytes(plan.checkpoints)))
    }
    // What reading the data and planning took for a moment is free again, but was taken.
    let total = terms.reduce(0) { $0 + $1.bytes }
    if process.peak > total {
      terms.append(MemoryEstimate.Term(name: "reading the data set and planning", bytes: process.peak - total))
    }
    return MemoryEstimate(terms: terms)
  }

  /// Of the checkpoints that the disk budget has room for at most.
  private func recordBytes(_ count: (states: Int, averages: Int)) -> Int {
    // Encoded, a state takes a third of its bytes at least.
    let room = (budgets.disk ?? .max) / max(1, stateBytes / 3)
    return min(count.states, room) * Overhead.bytesPerRecord + min(count.averages, room) * Overhead.bytesPerStoredAverage
  }

  /// Of observations on their way to the database and back, and of the pages that SQLite keeps of it. Where orders or schedules
  /// are automatic, their curves are in memory besides.
  private func observationBytes(_ count: Int) -> Int {
    let underway = min(count, ObservationWriter.capacity) * Overhead.bytesPerObservationUnderway
    let pages = min(Overhead.databaseCache, count * Overhead.bytesPerRow)
    return underway + pages + (workload.isAdaptive ? count * Overhead.bytesPerObservationKept : 0)
  }
}

/// Sizes that were measured.
private enum Overhead {
  /// What products arrange on a thread, with its stack, what encoding a checkpoint takes, what a run takes besides, and
  /// what opening its database takes: measured.
  static let thread = 3 << 18
  static let codec = 15 << 18
  static let run = 1 << 19
  static let database = 10 << 20
  static let bytesPerRecord = 1024
  static let bytesPerStoredAverage = 256
  static let bytesPerObservationUnderway = 512
  static let bytesPerObservationKept = 256
  /// SQLite's default cache, and a row with its seal.
  static let databaseCache = 2 << 20
  static let bytesPerRow = 320
}
