import Foundation
import Replay

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
