import Formats
import Replay
import Tensors

/// The place of a checkpoint's state: a path and a position on it. A place has at most one checkpoint.
struct CheckpointPlace: Hashable {
  let path: CheckpointIndex.Path
  let position: Int
}

extension CheckpointRecord {
  var place: CheckpointPlace { CheckpointPlace(path: CheckpointIndex.Path(self), position: position) }

  /// Whether `other` is stored as the difference to this checkpoint.
  public func isParent(of other: CheckpointRecord) -> Bool {
    place.path == other.place.path && other.parent == position
  }
}

/// The checkpoints of a run, grouped by path, so that a difference can be followed back to the checkpoints it builds
/// on.
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

  /// The checkpoints of each path, in ascending order of position.
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

  /// The first index whose record does not come before `position`. It is found by bisection, since a path may have
  /// thousands.
  private static func place(of position: Int, in records: [CheckpointRecord]) -> Int {
    var (low, high) = (0, records.count)
    while low < high {
      let middle = (low + high) / 2
      if records[middle].position < position { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The checkpoints to read one after the other to restore this one: a self-contained one first, then the
  /// differences up to `record`. Nil if one of them is missing.
  public func chain(to record: CheckpointRecord) -> [CheckpointRecord]? {
    var chain = [record]
    while let parent = chain[0].parent {
      guard parent < chain[0].position, let found = at(parent, on: Path(record)) else { return nil }
      chain.insert(found, at: 0)
    }
    return chain
  }

  /// The chain to the last checkpoint before `record` on its path. Nil if storing `record` as the difference to it
  /// would make more than `longest` differences in a row.
  func parentChain(of record: CheckpointRecord, longest: Int) -> [CheckpointRecord]? {
    let before = paths[Path(record)]?.last { $0.position < record.position }
    return before.flatMap { chain(to: $0) }.flatMap { $0.count <= longest ? $0 : nil }
  }

  /// A checkpoint and all checkpoints that build on it as differences, in ascending order of position.
  func descendants(of record: CheckpointRecord) -> [CheckpointRecord] {
    var found = [record]
    for next in paths[Path(record)] ?? [] {
      if let parent = next.parent, found.contains(where: { $0.position == parent }) { found.append(next) }
    }
    return found
  }

  /// Whether another checkpoint is stored as the difference to this one.
  func hasChild(_ record: CheckpointRecord) -> Bool {
    paths[Path(record)]?.contains { $0.parent == record.position } ?? false
  }
}
