import Formats
import Foundation
import Replay
import Tensors

/// A prediction of how much memory a run will take, and for what.
public struct MemoryEstimate: Codable, Sendable {
  public struct Term: Codable, Sendable {
    public let name: String
    public let bytes: Int
  }

  /// The parts of `peakBytes`.
  public let terms: [Term]
  /// The predicted peak of what a container is charged for and can't get back, in bytes. Pages of the program's files, which are
  /// part of `peakBytes`, are not; what the kernel keeps for the process is.
  public let accountBytes: Int
  /// The part of `peakBytes` that is taken only after the first update has begun.
  let bytesOnceTraining: Int
  /// What storing the lanes' states takes besides if the run is stopped before its end; 0 if checkpoints take it anyway.
  let bytesToStop: Int

  /// The predicted peak resident size of the process.
  public var peakBytes: Int { terms.reduce(0) { $0 + $1.bytes } }

  /// What a memory budget must have room for.
  var neededBytes: Int { max(peakBytes, accountBytes) + bytesToStop }

  /// The largest terms in words, with the largest first and without those of less than half a MiB.
  func words(of count: Int) -> String {
    terms.filter { $0.bytes >= 1 << 19 }.sorted { $0.bytes > $1.bytes }.prefix(count)
      .map { "\($0.name) \(mebibytes($0.bytes))" }.joined(separator: ", ")
  }
}

/// A size for messages, rounded up.
func mebibytes(_ bytes: Int) -> String { "\((bytes + (1 << 20) - 1) >> 20)MiB" }

/// The figures of a plan that determine a run's memory. The plan itself need not be kept.
struct PlanFootprint {
  let segmentCount: Int
  var memorySlots: Int
  var diskSlots: Int
  let averagesKept: Int
  let checkpoints: (states: Int, averages: Int)
  let observations: Int
  /// The size of the plan in bytes; `boardBytes` is what executing the plan takes besides.
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
  /// The memory of a run of `plan`. Call it once the data is read and while nothing but the plan is allocated
  /// besides, since it starts from what the process has taken so far.
  /// - Parameter isOpen: Whether the run's folder and database are open already.
  public func memoryEstimate(_ plan: ReplayPlan, isOpen: Bool = false) -> MemoryEstimate {
    FloatBuffer.returnFreedMemory()
    return memoryEstimate(
      PlanFootprint(plan), lanes: resources.lanes, memory: problem.laneMemory, isOpen: isOpen,
      process: ResidentMemory.Sizes().without(plan.byteCount))
  }

  /// - Parameters:
  ///   - memory: The memory of one lane.
  ///   - process: The memory of the process while nothing but the data was allocated.
  func memoryEstimate(
    _ plan: PlanFootprint, lanes: Int, memory: LaneMemory, isOpen: Bool, process: ResidentMemory.Sizes
  ) -> MemoryEstimate {
    let lanes = min(lanes, max(1, plan.segmentCount))
    // The number of lanes that are at work at the same time.
    let threads = min(lanes, ProcessInfo.processInfo.activeProcessorCount)
    let data = problem.residentBytes
    let kept = plan.memorySlots + plan.averagesKept * maps.count
    let starts = resources.keepsInitialStates ? maps.count : 0
    // A paged state that nobody works on has no floats in memory.
    let keptBytes = memory.paging == nil ? keptStartBytes + kept * stateBytes : (starts + kept) * Overhead.pager(stateBytes)
    let areStored = plan.checkpoints.states > 0 || plan.diskSlots > 0
    let partBytes = Overhead.parts(stateBytes, areStored: areStored)
    let laneBytes = memory.paging.map { max($0.residentBytes, $0.keptBytes + partBytes) + Overhead.pager(stateBytes) } ?? stateBytes
    let allocated = [
      MemoryEstimate.Term(name: "data set", bytes: data),
      MemoryEstimate.Term(name: "program and libraries", bytes: max(0, process.current - data)),
      MemoryEstimate.Term(name: "plan", bytes: plan.bytes + plan.boardBytes),
      MemoryEstimate.Term(name: "states of lanes", bytes: lanes * laneBytes),
      MemoryEstimate.Term(name: "initial states, slots and averages", bytes: keptBytes),
      MemoryEstimate.Term(name: "activations", bytes: lanes * memory.workspaceBytes),
    ]
    var later = [
      MemoryEstimate.Term(
        name: "buffers of libraries",
        bytes: threads * Overhead.thread + Overhead.run + (isOpen ? Overhead.writing : Overhead.database)),
      MemoryEstimate.Term(name: "observations", bytes: observationBytes(plan.observations)),
    ]
    let codec = min(Overhead.codec, 4 * stateBytes + (1 << 17))
    if areStored {
      var bytes = codec
      // Writing a difference needs its parent in memory.
      if budgets.checkpoints.chainLength > 0 { bytes += memory.paging == nil ? stateBytes : partBytes }
      let writers = plan.diskSlots > 0 ? threads : min(threads, plan.checkpoints.states)
      later.append(MemoryEstimate.Term(name: "checkpoint codec", bytes: writers * bytes))
    }
    if plan.checkpoints.states > 0 {
      later.append(MemoryEstimate.Term(name: "records of checkpoints", bytes: recordBytes(plan.checkpoints)))
    }
    var terms = allocated + later
    // The memory that reading the data and planning took is free again, but counts towards the peak.
    let total = terms.reduce(0) { $0 + $1.bytes }
    if process.peak > total {
      terms.append(MemoryEstimate.Term(name: "reading the data set and planning", bytes: process.peak - total))
    }
    let peak = max(total, process.peak)
    let kernel = Overhead.kernel + threads * Overhead.kernelThread + peak / Overhead.bytesPerPageTableByte
    return MemoryEstimate(
      terms: terms, accountBytes: max(0, peak - process.files) + kernel, bytesOnceTraining: later.reduce(0) { $0 + $1.bytes },
      bytesToStop: areStored || budgets.checkpoints.interval == nil
        ? 0 : threads * (codec + (memory.paging == nil ? 0 : Overhead.parts(stateBytes, areStored: true) - partBytes)))
  }

  /// The memory for the records of the checkpoints, of which there are at most as many as the disk budget has room
  /// for.
  private func recordBytes(_ count: (states: Int, averages: Int)) -> Int {
    // Encoding shrinks a state to no less than a third of its size.
    let room = (budgets.disk ?? .max) / max(1, stateBytes / 3)
    return min(count.states, room) * Overhead.bytesPerRecord + min(count.averages, room) * Overhead.bytesPerStoredAverage
  }

  /// The memory for observations on their way to and from the database, and for the pages that SQLite caches. If
  /// orders or schedules are automatic, their curves are kept in memory besides.
  private func observationBytes(_ count: Int) -> Int {
    let underway = min(count, ObservationWriter.capacity) * Overhead.bytesPerObservationUnderway
    let pages = min(Overhead.databaseCache, count * Overhead.bytesPerRow)
    return underway + pages + (workload.isAdaptive ? count * Overhead.bytesPerObservationKept : 0)
  }
}

/// Measured sizes in bytes.
private enum Overhead {
  /// Memory for products on a thread with its stack (`thread`), for encoding a checkpoint (`codec`), for a run
  /// besides (`run`), and for opening its database (`database`) or beginning to write to one that is open (`writing`).
  static let thread = 7 << 17
  static let codec = 15 << 18
  static let run = 1 << 19
  static let database = 10 << 20
  static let writing = 5 << 18
  static let bytesPerRecord = 1024
  static let bytesPerStoredAverage = 256
  static let bytesPerObservationUnderway = 512
  static let bytesPerObservationKept = 256
  /// The size of SQLite's default cache; `bytesPerRow` is that of a row with its seal.
  static let databaseCache = 2 << 20
  static let bytesPerRow = 320
  /// What the kernel keeps for a process (`kernel`) and for one of its threads (`kernelThread`) in stacks, tables and records
  /// of open files; a page table has 8 bytes for each page of 4 KiB.
  static let kernel = 2 << 20
  static let kernelThread = 1 << 16
  static let bytesPerPageTableByte = 512

  /// The parts of two paged states in an operation on both, or of one that is written as frames of a checkpoint: of each state one in
  /// use and two on their way in, and the pages at their ends.
  static func parts(_ stateBytes: Int, areStored: Bool) -> Int {
    func bytes(_ length: Int) -> Int { 3 * length * MemoryLayout<Float>.stride + 4 * Pager.pageBytes }
    let both = 2 * bytes(FloatBuffer.partLength(of: stateBytes / MemoryLayout<Float>.stride))
    return min(2 * stateBytes, areStored ? max(both, bytes(CheckpointFrame.length)) : both)
  }

  /// What a paged state takes beside its floats: two threads, and an entry for each page.
  static func pager(_ stateBytes: Int) -> Int { (1 << 17) + stateBytes / Pager.pageBytes * 32 }
}
