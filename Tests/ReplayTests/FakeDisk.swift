import Replay
import Tensors

/// Disk slots in memory, which are emptied when released.
final class FakeDisk: SlotStorage {
  struct Failed: Error {}
  private struct Contents {
    var slots: [Int: StoredState] = [:]
    var writes = 0
    var reads = 0
  }
  private let contents = Lock(Contents())
  private let writesUntilFull: Int
  var writes: Int { contents.withLock { $0.writes } }
  var reads: Int { contents.withLock { $0.reads } }
  var isEmpty: Bool { contents.withLock { $0.slots.isEmpty } }

  init(writesUntilFull: Int = .max) { self.writesUntilFull = writesUntilFull }

  func save(_ state: borrowing TrainingState, slot: Int) throws {
    let stored = try StoredState(count: state.values.count)
    try stored.copy(from: state)
    try contents.withLock { contents in
      guard contents.writes < writesUntilFull else { throw Failed() }
      contents.slots[slot] = stored
      contents.writes += 1
    }
  }

  func load(slot: Int, into state: inout TrainingState) throws {
    let stored = contents.withLock { contents in
      contents.reads += 1
      return contents.slots[slot]
    }
    guard let stored else { throw Failed() }
    try stored.copy(to: &state)
  }

  func release(slot: Int) throws {
    let held = contents.withLock { $0.slots.removeValue(forKey: slot) }
    guard held != nil else { throw Failed() }
  }
}
