import Formats
import Replay
import Tensors

/// Which checkpoints to keep within a budget.
///
/// For every path the checkpoints stay dense near its end and grow sparser towards its start: the one goes whose removal
/// opens the smallest gap in proportion to the distance from the gap to the path's end. So gaps grow geometrically
/// towards the start, k checkpoints reach back over a length exponential in k, and from any point of the path the way
/// back to a checkpoint is at most a fixed fraction of the way to the path's end. The last checkpoint of a path goes
/// when all other paths have no more than one either.
///
/// A checkpoint that others are differences to stays while they do.
struct CheckpointRetention: Sendable {
  private(set) var index: CheckpointIndex
  private var bytes: Int
  /// Places whose checkpoints lanes are about to write.
  private var reserved: Set<CheckpointPlace> = []
  /// Checkpoints that will be restored, or that a difference to is being written, and how often.
  private var pinned: [CheckpointRecord: Int] = [:]

  init(_ records: [CheckpointRecord]) {
    index = CheckpointIndex(records)
    bytes = records.reduce(0) { $0 + $1.bytes }
  }

  /// What a lane that has the state at a place is to do.
  enum Claim {
    /// Nobody stores it: the caller does, and says so with `add` or `giveUp`.
    case reserved
    /// Another lane is about to store it.
    case taken
    /// It is stored.
    case stored(CheckpointRecord)
  }

  mutating func claim(_ place: CheckpointPlace) -> Claim {
    if let record = index.at(place) { return .stored(record) }
    return reserved.insert(place).inserted ? .reserved : .taken
  }

  /// The place is free for other lanes again.
  mutating func giveUp(_ place: CheckpointPlace) { reserved.remove(place) }

  /// The chain to what `record` may be stored as the difference to, whose last stays until it is unpinned.
  mutating func pinParent(of record: CheckpointRecord, longest: Int) -> [CheckpointRecord]? {
    let chain = index.parentChain(of: record, longest: longest)
    if let last = chain?.last { pin(last) }
    return chain
  }

  /// Keeps a checkpoint until it is unpinned as often as pinned.
  mutating func pin(_ record: CheckpointRecord) { pinned[record, default: 0] += 1 }

  mutating func unpin(_ record: CheckpointRecord?) {
    guard let record, let count = pinned[record] else { return }
    pinned[record] = count > 1 ? count - 1 : nil
  }

  /// Takes in a record and gives up those that the budget has no room for, never the new one.
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

  /// The same checkpoint, with more said of it.
  mutating func replace(_ record: CheckpointRecord, by completed: CheckpointRecord) {
    index.remove(record)
    index.insert(completed)
    bytes += completed.bytes - record.bytes
    if let count = pinned.removeValue(forKey: record) { pinned[completed] = count }
  }

  /// Takes out a record that can't be read, with those that are differences to it.
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
        // The last of a path is what an interrupted lane goes on from.
        let score = isLast ? .greatestFiniteMagnitude : Double(after - before) / Double(end - before)
        if score < best?.score ?? .infinity { best = (score, record) }
      }
    }
    return best?.record
  }
}
