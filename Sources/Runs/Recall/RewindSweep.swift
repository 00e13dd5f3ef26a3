import Formats
import Foundation
import Replay
import Tensors

/// What rewinding with different slots stores, recomputes and takes: the document `rewind --sweep --json` prints.
public struct RewindSweep: Codable, Sendable {
  public let run: String
  public let order: String
  public let seed: Int
  /// Each walk visits the states from − 1 … to.
  public let from: Int
  public let to: Int
  /// Bytes of a state as it is.
  public let stateBytes: Int
  /// Updates on the way to the first state visited: no schedule applies fewer.
  public let firstPassUpdates: Int
  /// What the schedules on disk spare: `updates` or `time`.
  public let least: RewindGoal
  public let points: [Point]

  /// One rewind, measured.
  public struct Point: Codable, Sendable {
    /// `memory` or `disk`.
    public let tier: String
    /// How parameters and buffers were kept in slots.
    public let precision: String
    /// States kept at once, at most.
    public let slots: Int
    /// Bytes of the states kept at once, at most: in memory, or of all files there.
    public let storedBytes: Int
    public let updates: Int
    public let predictedUpdates: Int
    /// Updates applied again: those beyond the first pass.
    public let recomputedUpdates: Int
    /// Of taking memory, updates, writing and reading, without what looking at the states took.
    /// Of several rounds the least.
    public internal(set) var seconds: Double
    /// By the measured times of an update, a write and a read; nil where they decided nothing.
    public let predictedSeconds: Double?
    public let diskWrites: Int
    public let diskReads: Int
    /// States visited with the bits that a replay without rewinding gives, of all.
    public let identicalStates: Int
    public let states: Int
    /// Nil where slots round nothing.
    public let error: SlotError?
  }

  /// How far visited states are from the exact ones.
  public struct SlotError: Codable, Sendable {
    /// ‖θ − θ_exact‖ / ‖θ_exact − θ_0‖ of parameters and buffers, over all visited states.
    public internal(set) var meanDistance = 0.0
    public internal(set) var worstDistance = 0.0
    /// |difference of the training loss| on the batch that was applied next, nats.
    public internal(set) var meanLossDifference = 0.0
    public internal(set) var worstLossDifference = 0.0

    mutating func add(distance: Double, lossDifference: Double, of states: Int) {
      meanDistance += distance / Double(states)
      worstDistance = max(worstDistance, distance)
      meanLossDifference += lossDifference / Double(states)
      worstLossDifference = max(worstLossDifference, lossDifference)
    }
  }

  /// What is measured: every combination.
  public struct Request: Sendable {
    /// Numbers of slots; `Int.max` for as many as are of use.
    public var slots: [Int]
    public var tiers: [SlotTier]
    public var precisions: [CheckpointPrecision]
    public var least: RewindGoal
    /// How often each rewind is measured, in turns: on a busy machine the least time says most.
    public var rounds: Int

    /// - Parameters:
    ///   - slots: nil for 1, 2, 3, 5, 8, 16, 32, …, all.
    ///   - tiers: where slots are.
    ///   - precisions: what states in slots are rounded to, each in turn.
    ///   - least: what schedules with disk slots spare.
    ///   - rounds: how often each is measured, for the least time.
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
