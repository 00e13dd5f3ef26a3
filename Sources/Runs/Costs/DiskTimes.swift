import Formats
import Foundation
import Replay
import Tensors

/// What a state takes to leave memory and to come back, in seconds.
package struct DiskTimes {
  /// Encoding a state and writing it to a disk slot.
  package var write: Double
  /// Reading it back.
  package var read: Double
  /// Making the initial state anew.
  package var start: Double

  /// Before anything is measured.
  package init(guessedFor stateBytes: Int) {
    write = 0.002 + Double(stateBytes) / 5e8
    read = 0.001 + Double(stateBytes) / 2e9
    start = Double(stateBytes) / 1.3e8
  }

  /// The fastest of a few: first ones take new memory, and a busy machine disturbs others.
  /// - Parameter folder: where files are written for a moment; the system's folder for temporary files where it can't be written.
  package init<Problem>(measuring specification: RunSpecification<Problem>, in folder: String) throws {
    var state = try specification.initialState(replica: 0)
    let place = access(folder, W_OK) == 0 ? folder : FileManager.default.temporaryDirectory.path
    let path = "\(place)/.slot-\(UUID().uuidString)"
    defer { unlink(path) }
    (write, read, start) = (.infinity, .infinity, .infinity)
    let begin = ContinuousClock.now
    repeat {
      write = min(
        write,
        try secondsTaken {
          _ = try CheckpointFile.write(
            state.values, updateCount: 0, options: CheckpointOptions(isSynced: false), to: path)
        })
      read = min(read, try secondsTaken { _ = try CheckpointFile.read(path, into: &state.values) })
      start = min(start, try secondsTaken { try specification.writeInitialState(replica: 0, to: &state.values) })
    } while .now - begin < .milliseconds(50)
  }
}

/// The time in seconds that `body` takes.
package func secondsTaken(_ body: () throws -> Void) rethrows -> Double {
  let begin = ContinuousClock.now
  try body()
  return (.now - begin) / .seconds(1)
}
