/// Checkpoints by the path they lie on, to follow differences to what they are differences to.
public struct CheckpointIndex: Sendable {
  struct Path: Hashable {
    let seed: Int
    let series: String
    let n: Int

    init(_ record: CheckpointRecord) {
      seed = record.seed
      series = record.series
      n = record.n
    }
  }

  /// By path, in the order of positions.
  private(set) var paths: [Path: [CheckpointRecord]] = [:]

  public init(_ records: [CheckpointRecord]) {
    for record in records { insert(record) }
  }

  mutating func insert(_ record: CheckpointRecord) {
    let path = Path(record)
    let place = paths[path]?.firstIndex { $0.position > record.position } ?? paths[path]?.endIndex ?? 0
    paths[path, default: []].insert(record, at: place)
  }

  mutating func remove(_ record: CheckpointRecord) {
    paths[Path(record)]?.removeAll { $0.position == record.position }
  }

  func contains(_ record: CheckpointRecord) -> Bool { at(record.position, on: Path(record)) != nil }

  private func at(_ position: Int, on path: Path) -> CheckpointRecord? {
    paths[path]?.first { $0.position == position }
  }

  /// The checkpoints to read one after the other for this one's state: one that stands alone, then differences. Nil where
  /// one is missing.
  public func chain(to record: CheckpointRecord) -> [CheckpointRecord]? {
    var chain = [record]
    while let parent = chain[0].parent {
      guard parent < chain[0].position, let found = at(parent, on: Path(record)) else { return nil }
      chain.insert(found, at: 0)
    }
    return chain
  }

  /// The chain to the last checkpoint before `record` on its path, if a difference to it makes no more than
  /// `longest` differences in a row.
  func parentChain(of record: CheckpointRecord, longest: Int) -> [CheckpointRecord]? {
    let before = paths[Path(record)]?.last { $0.position < record.position }
    return before.flatMap { chain(to: $0) }.flatMap { $0.count <= longest ? $0 : nil }
  }

  /// Whether another checkpoint is a difference to this one.
  func hasChild(_ record: CheckpointRecord) -> Bool {
    paths[Path(record)]?.contains { $0.parent == record.position } ?? false
  }
}
