import Replay

/// The stored states of one seed, indexed by the paths they lie on: made once and used for many replays.
package struct StoredStates: Sendable {
  let records: [CheckpointRecord]
  let index: CheckpointIndex
  private let points: StoredPoints

  /// - Parameter records: The checkpoints of one seed.
  /// - Throws: `RunError.damaged` for a state of an order that the run does not have.
  package init<Problem>(_ records: [CheckpointRecord], in run: Run<Problem>) throws {
    let orders = Array(Set(records.map(\.order)))
    let places = Dictionary(orders.enumerated().map { ($1, $0) }) { first, _ in first }
    self.records = records
    index = CheckpointIndex(records)
    points = StoredPoints(
      records.map { PathPoint(Iterate(order: places[$0.order] ?? 0, n: $0.n), position: $0.position) },
      orders: try orders.map(run.known))
  }

  /// Collects all stored states of a seed.
  init<Problem>(ofSeed seed: Int, in run: Run<Problem>) throws {
    try self.init(try run.storedStates()[try run.replica(ofSeed: seed)], in: run)
  }

  /// The stored state on a path that is nearest to its end; nil if the initial state is nearer than all of them.
  package func nearest(on path: BatchSequence, isUsable: (CheckpointRecord) -> Bool = { _ in true }) -> CheckpointRecord? {
    // A difference is of no use without what it is a difference to.
    points.nearest(on: path) { index.chain(to: records[$0]) != nil && isUsable(records[$0]) }.map { records[$0] }
  }
}
