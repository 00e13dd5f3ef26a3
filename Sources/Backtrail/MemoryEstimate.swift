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

extension Experiment {
  /// The memory of a run of `plan`. Call it when the data is read and nothing else is allocated: it begins with what the
  /// process has taken so far.
  /// - Parameter isOpen: whether the run's folder and database are open already.
  public func memoryEstimate(_ plan: ReplayPlan, isOpen: Bool = false) -> MemoryEstimate {
    memoryEstimate(plan, lanes: configuration.lanes, arenaCount: maps[0].network.arenaCount, isOpen: isOpen)
  }

  /// - Parameters:
  ///   - arenaCount: floats of an update's workspace.
  ///   - process: what the process had taken when nothing but the data was allocated.
  func memoryEstimate(
    _ plan: ReplayPlan, lanes: Int, arenaCount: Int, isOpen: Bool, process: ResidentMemory.Sizes = .init()
  ) -> MemoryEstimate {
    let lanes = min(lanes, max(1, plan.taskCount))
    let data = dataset.byteCount
    let kept = plan.memorySlots + plan.averagesKept * maps.count
    var terms = [
      MemoryEstimate.Term(name: "data set", bytes: data),
      MemoryEstimate.Term(name: "program and libraries", bytes: max(0, process.current - data)),
      MemoryEstimate.Term(name: "states of lanes", bytes: lanes * stateBytes),
      MemoryEstimate.Term(name: "initial states, slots and averages", bytes: keptStartBytes + kept * stateBytes),
      MemoryEstimate.Term(
        name: "activations", bytes: lanes * maps[0].workspaceBytes(arenaCount: arenaCount)),
      MemoryEstimate.Term(
        name: "buffers of libraries",
        bytes: lanes * Self.laneOverhead + Self.runOverhead + (isOpen ? 0 : Self.databaseOverhead)),
    ]
    if plan.storesStates || plan.diskSlots > 0 {
      var bytes = min(Self.codecOverhead, 5 * stateBytes)
      // A difference needs its parent, and what an allocator keeps of the one before.
      if configuration.checkpointChain > 0 { bytes += 2 * stateBytes }
      terms.append(MemoryEstimate.Term(name: "checkpoint codec", bytes: lanes * bytes))
    }
    // What reading the data took for a moment is free again, but was taken.
    let total = terms.reduce(0) { $0 + $1.bytes }
    if process.peak > total {
      terms.append(MemoryEstimate.Term(name: "reading the data set", bytes: process.peak - total))
    }
    return MemoryEstimate(terms: terms)
  }

  /// What products arrange on a lane's thread, with its stack, what encoding a checkpoint takes, what observations
  /// take on their way to the database, and what opening it takes: measured.
  private static let laneOverhead = 1 << 20
  private static let codecOverhead = 6 << 20
  private static let runOverhead = 1 << 19
  private static let databaseOverhead = 10 << 20
}
