import Formats
import Replay
import Tensors

/// Decides which checkpoints to keep within a disk budget.
///
/// On every path the checkpoints stay dense near its end and become sparser towards its start. The next one to go is
/// the one whose removal opens the smallest gap relative to the distance from the gap to the path's end. So gaps grow
/// geometrically towards the start, k checkpoints cover a length exponential in k, and from any point of the path the
/// distance back to a checkpoint is at most a fixed fraction of the distance to the path's end. The last checkpoint
/// of a path goes only when no other path has more than one.
///
/// A checkpoint stays as long as others are stored as differences to it.
struct CheckpointRetention: Sendable {
  private(set) var index: CheckpointIndex
  private var bytes: Int
  /// Places whose checkpoints lanes are about to write.
  private var reserved: Set<CheckpointPlace> = []
  /// How often each checkpoint is pinned: it will be restored, or a difference to it is being written.
  private var pinned: [CheckpointRecord: Int] = [:]

  init(_ records: [CheckpointRecord]) {
    index = CheckpointIndex(records)
    bytes = records.reduce(0) { $0 + $1.bytes }
  }

  /// What a lane should do with the state it has at a place.
  enum Claim {
    /// Nobody stores the state: the caller does, and then calls `add` or `giveUp`.
    case reserved
    /// Another lane is about to store the state.
    case taken
    /// The state is stored already.
    case stored(CheckpointRecord)
  }

  mutating func claim(_ place: CheckpointPlace) -> Claim {
    if let record = index.at(place) { return .stored(record) }
    return reserved.insert(place).inserted ? .reserved : .taken
  }

  /// Frees the place for other lanes.
  mutating func giveUp(_ place: CheckpointPlace) { reserved.remove(place) }

  /// The chain to the checkpoint that `record` may be stored as the difference to. Its last checkpoint stays pinned
  /// until the caller unpins it.
  mutating func pinParent(of record: CheckpointRecord, longest: Int) -> [CheckpointRecord]? {
    let chain = index.parentChain(of: record, longest: longest)
    if let last = chain?.last { pin(last) }
    return chain
  }

  /// Keeps a checkpoint until it has been unpinned as often as pinned.
  mutating func pin(_ record: CheckpointRecord) { pinned[record, default: 0] += 1 }

  mutating func unpin(_ record: CheckpointRecord?) {
    guard let record, let count = pinned[record] else { return }
    pinned[record] = count > 1 ? count - 1 : nil
  }

  /// Adds a record and removes those that the budget has no room for, but never the new one.
  /// - Returns: The removed records.
  mutating func add(_ record: CheckpointRecord, budget: Int?) -> [CheckpointRecord] {
    reserved.remove(record.place)
    index.insert(record)
    bytes += record.bytes
    var superfluous: [CheckpointRecord] = []
    while let budget, bytes > budget, let next = leastUseful(besides: record) {
      index.remove(next)
      bytes -= next.bytes
      superfluous.append(next)
    }
    return superfluous
  }

  /// Replaces a record by a more complete record of the same checkpoint.
  mutating func replace(_ record: CheckpointRecord, by completed: CheckpointRecord) {
    index.remove(record)
    index.insert(completed)
    bytes += completed.bytes - record.bytes
    if let count = pinned.removeValue(forKey: record) { pinned[completed] = count }
  }

  /// Removes the record of an unreadable checkpoint and all records that build on it as differences.
  /// - Returns: All of them.
  mutating func drop(_ record: CheckpointRecord) -> [CheckpointRecord] {
    let dropped = index.descendants(of: record)
    for record in dropped where index.at(record.place) != nil {
      index.remove(record)
      bytes -= record.bytes
    }
    return dropped
  }

  private func leastUseful(besides newest: CheckpointRecord) -> CheckpointRecord? {
    var best: (score: Double, record: CheckpointRecord)?
    for records in index.paths.values {
      for (place, record) in records.enumerated() where record != newest {
        guard pinned[record] == nil, !index.hasChild(record) else { continue }
        let before = place > 0 ? records[place - 1].position : 0
        let isLast = place == records.count - 1
        let after = isLast ? record.position : records[place + 1].position
        let end = records[records.count - 1].position
        // An interrupted lane continues from the last checkpoint of its path.
        let score = isLast ? .greatestFiniteMagnitude : Double(after - before) / Double(end - before)
        if score < best?.score ?? .infinity { best = (score, record) }
      }
    }
    return best?.record
  }
}
