import Formats
import Foundation
import Replay
import Tensors

/// The times in seconds that moving a state out of memory and back takes.
struct DiskTimes {
  /// The time to encode a state and write it to a disk slot.
  var write: Double
  /// The time to read a state back from a disk slot.
  var read: Double
  /// The time to make the initial state anew.
  var start: Double

  /// Guesses the times before anything is measured.
  init(guessedFor stateBytes: Int) {
    write = 0.002 + Double(stateBytes) / 5e8
    read = 0.001 + Double(stateBytes) / 2e9
    start = Double(stateBytes) / 1.3e8
  }

  /// Takes the fastest of several measurements, since the first ones pay for new memory and other work on the machine
  /// slows some down.
  /// - Parameter folder: A folder where files are written temporarily. If it is not writable, the system's temporary
  ///   folder is used.
  init<Problem>(measuring specification: RunSpecification<Problem>, in folder: String) throws {
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
