import Formats
import Foundation
import Replay
import Tensors

/// The memory, updates and time of rewinds with different slots: the document that `rewind --sweep --json` prints.
public struct RewindSweep: Codable, Sendable {
  public let run: String
  public let order: String
  public let seed: Int
  /// Each rewind visits the states from − 1 … to.
  public let from: Int
  public let to: Int
  /// The size in bytes of an unrounded state.
  public let stateBytes: Int
  /// The updates needed to reach the first state visited: no schedule applies fewer.
  public let firstPassUpdates: Int
  /// The cost that schedules with disk slots minimize: `updates` or `time`.
  public let least: RewindGoal
  public let points: [Point]

  /// The measurements of one rewind.
  public struct Point: Codable, Sendable {
    /// Where states were kept: `memory` or `disk`.
    public let tier: String
    /// The precision of parameters and buffers in slots.
    public let precision: String
    /// The largest number of states kept at once.
    public let slots: Int
    /// The largest total size of the states kept at once, in memory or in files.
    public let storedBytes: Int
    public let updates: Int
    public let predictedUpdates: Int
    /// The updates applied more than once: those beyond the first pass.
    public let recomputedUpdates: Int
    /// The time for allocating memory, updates, writing and reading, without the time for inspecting the states. The
    /// least of several rounds.
    public internal(set) var seconds: Double
    /// The duration predicted from the measured times of an update, a write and a read; nil if they did not determine
    /// the schedule.
    public let predictedSeconds: Double?
    public let diskWrites: Int
    public let diskReads: Int
    /// The number of visited states, out of `states`, with the same bits as in a replay without rewinding.
    public let identicalStates: Int
    public let states: Int
    /// The errors of the visited states; nil if slots round nothing.
    public let error: SlotError?
  }

  /// The distances of the visited states from the exact ones.
  public struct SlotError: Codable, Sendable {
    /// The mean over all visited states of ‖θ − θ_exact‖ / ‖θ_exact − θ_0‖, over parameters and buffers.
    public internal(set) var meanDistance = 0.0
    public internal(set) var worstDistance = 0.0
    /// The mean absolute difference of the training loss on the batch that was applied next, in nats.
    public internal(set) var meanLossDifference = 0.0
    public internal(set) var worstLossDifference = 0.0

    mutating func add(distance: Double, lossDifference: Double, of states: Int) {
      meanDistance += distance / Double(states)
      worstDistance = max(worstDistance, distance)
      meanLossDifference += lossDifference / Double(states)
      worstLossDifference = max(worstLossDifference, lossDifference)
    }
  }

  /// The rewinds to measure: every combination of tiers, precisions and slots.
  public struct Request: Sendable {
    /// The numbers of slots; `Int.max` for as many as are of use.
    public var slots: [Int]
    public var tiers: [SlotTier]
    public var precisions: [CheckpointPrecision]
    public var least: RewindGoal
    /// How often each rewind is measured, in turns. On a busy machine the least time is the most meaningful.
    public var rounds: Int

    /// - Parameter slots: The numbers of slots; nil for 1, 2, 3, 5, 8, 16, 32, … up to all that are of use.
    public init(
      slots: [Int]? = nil, tiers: [SlotTier] = [.memory, .disk], precisions: [CheckpointPrecision] = CheckpointPrecision.allCases,
      least: RewindGoal = .updates, rounds: Int = 1
    ) {
      self.slots = slots ?? [1, 2, 3, 5] + (3..<30).map { 1 << $0 } + [.max]
      self.tiers = tiers
      self.precisions = precisions
      self.least = least
      self.rounds = rounds
    }
  }
}
