import Formats
import Replay
import Tensors

/// Where a checkpoint's state lies. There is one checkpoint a place.
struct CheckpointPlace: Hashable {
  let path: CheckpointIndex.Path
  let position: Int
}

extension CheckpointRecord {
  var place: CheckpointPlace { CheckpointPlace(path: CheckpointIndex.Path(self), position: position) }

  /// Whether another checkpoint is a difference to this one.
  public func isParent(of other: CheckpointRecord) -> Bool {
    place.path == other.place.path && other.parent == position
  }
}

/// Checkpoints by the path they lie on, to follow differences to what they are differences to.
public struct CheckpointIndex: Sendable {
  struct Path: Hashable {
    let seed: Int
    let order: CompositionOrder
    let n: Int

    init(seed: Int, order: CompositionOrder, n: Int) {
      self.seed = seed
      self.order = order
      self.n = n
    }

    init(_ record: CheckpointRecord) {
      self.init(seed: record.seed, order: record.order, n: record.n)
    }
  }

  /// By path, in the order of positions.
  private(set) var paths: [Path: [CheckpointRecord]] = [:]

  public init(_ records: [CheckpointRecord]) {
    for record in records { insert(record) }
  }

  mutating func insert(_ record: CheckpointRecord) {
    let path = Path(record)
    let records = paths[path, default: []]
    paths[path, default: []].insert(record, at: Self.place(of: record.position, in: records))
  }

  mutating func remove(_ record: CheckpointRecord) {
    paths[Path(record)]?.removeAll { $0.position == record.position }
  }

  func at(_ place: CheckpointPlace) -> CheckpointRecord? { at(place.position, on: place.path) }

  func at(_ position: Int, on path: Path) -> CheckpointRecord? {
    guard let records = paths[path] else { return nil }
    let place = Self.place(of: position, in: records)
    return place < records.count && records[place].position == position ? records[place] : nil
  }

  /// The first place whose record does not come before `position`, by halving: a path may have thousands.
  private static func place(of position: Int, in records: [CheckpointRecord]) -> Int {
    var (low, high) = (0, records.count)
    while low < high {
      let middle = (low + high) / 2
      if records[middle].position < position { low = middle + 1 } else { high = middle }
    }
    return low
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

  /// A checkpoint and all that are differences to it, in the order of positions.
  func descendants(of record: CheckpointRecord) -> [CheckpointRecord] {
    var found = [record]
    for next in paths[Path(record)] ?? [] {
      if let parent = next.parent, found.contains(where: { $0.position == parent }) { found.append(next) }
    }
    return found
  }

  /// Whether another checkpoint is a difference to this one.
  func hasChild(_ record: CheckpointRecord) -> Bool {
    paths[Path(record)]?.contains { $0.parent == record.position } ?? false
  }
}
