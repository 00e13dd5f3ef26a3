import Formats
import Foundation
import Replay
import Synchronization
import Tensors

extension Run {
  /// The updates that bringing an iterate back takes, from the nearest stored state on its path.
  /// - Parameters:
  ///   - order: whose iterate it is; any, whether the run observes it or not.
  ///   - n: 0 is the initial state.
  ///   - seed: one of the run's; nil for its first.
  public func recallCost(of order: CompositionOrder, n: Int, seed: Int? = nil) throws -> Int {
    let replica = try replica(ofSeed: seed ?? workload.seeds.lowerBound)
    _ = try specification.sequence(of: order, n)
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
struct CountedUpdateMap<Map: UpdateMap>: UpdateMap {
  let map: Map
  let progress: RewindProgress

  var stateCount: Int { map.stateCount }

  func makeWorkspace() throws -> Map.Workspace { try map.makeWorkspace() }

  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Map.Workspace) {
    map.apply(batch: batch, position: position, to: &state, workspace: &workspace)
    progress.addUpdate()
  }
}
