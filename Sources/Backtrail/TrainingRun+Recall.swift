import Foundation
import Replay
import Synchronization
import Tensors

extension TrainingRun {
  /// Reads an order as a command is given it. One that the run has is the run's: of a file's order, what it held then.
  public func order(_ specification: String) throws -> CompositionOrder {
    guard let path = filePath(in: specification) else { return try CompositionOrder(specification) }
    // As runs keep paths.
    let absolute = "file:" + URL(fileURLWithPath: path).standardizedFileURL.path
    let known = experiment.orders.first { $0.description == absolute }
    return try known ?? CompositionOrder(reading: absolute)
  }

  /// The updates that bringing an iterate back takes, from the nearest stored state on its path.
  public func recallCost(of order: CompositionOrder, n: Int, seed: Int) throws -> Int {
    let replica = try replica(ofSeed: seed)
    _ = try experiment.sequence(of: order, n)
    return n == 0 ? 0 : try recallPlan(order, n: n, records: storedStates()[replica]).gradientEvaluations
  }
}

/// How far a rewind, or several, are. Read it from any thread.
public final class RewindProgress: Sendable {
  private let planned = Atomic<Int>(0)
  private let done = Atomic<Int>(0)

  public init() {}

  /// Updates applied so far, and those planned; 0 before there is a plan.
  public var updates: Int { done.load(ordering: .relaxed) }
  public var plannedUpdates: Int { planned.load(ordering: .relaxed) }

  func plan(_ updates: Int) { planned.store(updates, ordering: .relaxed) }
  func addUpdate() { done.add(1, ordering: .relaxed) }
}

/// An update map whose updates are counted.
struct CountedUpdateMap: UpdateMap {
  let map: NetworkUpdateMap
  let progress: RewindProgress

  var stateCount: Int { map.stateCount }

  func makeWorkspace() throws -> NetworkUpdateMap.Workspace { try map.makeWorkspace() }

  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout NetworkUpdateMap.Workspace) {
    map.apply(batch: batch, position: position, to: &state, workspace: &workspace)
    progress.addUpdate()
  }
}
