import Formats
import Foundation
import Replay

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
