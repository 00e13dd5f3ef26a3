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

  /// The fastest of a few: first ones take new memory, and a busy machine disturbs others. Of a large state a part is written and
  /// read, whose times are extrapolated, and the time of making it is guessed.
  /// - Parameter folder: where files are written for a moment; the system's folder for temporary files where it can't be written.
  package init<Problem>(measuring specification: RunSpecification<Problem>, in folder: String) throws {
    let isWhole = specification.stateCount <= Self.largestSample
    let parts = isWhole ? 1 : Double(specification.stateCount) / Double(Self.largestSample)
    var state = try isWhole ? specification.initialState(replica: 0) : TrainingState(values: Self.sample(count: Self.largestSample))
    let place = access(folder, W_OK) == 0 ? folder : FileManager.default.temporaryDirectory.path
    let path = "\(place)/.slot-\(UUID().uuidString)"
    defer { unlink(path) }
    self.init(guessedFor: specification.stateBytes)
    (write, read) = (.infinity, .infinity)
    if isWhole { start = .infinity }
    let begin = ContinuousClock.now
    repeat {
      write = min(
        write,
        try parts * secondsTaken {
          _ = try CheckpointFile.write(
            state.values, updateCount: 0, options: CheckpointOptions(isSynced: false), to: path)
        })
      read = min(read, try parts * secondsTaken { _ = try CheckpointFile.read(path, into: &state.values) })
      if isWhole { start = min(start, try secondsTaken { try specification.writeInitialState(replica: 0, to: &state.values) }) }
    } while .now - begin < .milliseconds(50)
  }

  /// The floats of a state of which the disk's times are measured, 32 MiB.
  static let largestSample = 1 << 23

  /// A state of so many floats like those of networks.
  static func sample(count: Int) throws -> StateBuffer {
    var values = try StateBuffer(count: count)
    RandomSource(seed: 0, purpose: .initialization).fillNormal(values.mutableVector, batch: 0, deviation: 0.02)
    return values
  }
}

/// The time in seconds that `body` takes.
package func secondsTaken(_ body: () throws -> Void) rethrows -> Double {
  let begin = ContinuousClock.now
  try body()
  return (.now - begin) / .seconds(1)
}
