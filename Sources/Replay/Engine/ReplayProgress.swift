import Synchronization

/// The progress of a replay or a rewind. It can be read from any thread.
public final class ReplayProgress: Sendable {
  private let updates = Atomic<Int>(0)
  private let looks = Atomic<Int>(0)
  private let plannedUpdates = Atomic<Int>(0)
  private let plannedLooks = Atomic<Int>(0)

  public init() {}

  /// The number of updates applied so far.
  public var gradientEvaluations: Int { updates.load(ordering: .relaxed) }

  /// The number of states observed so far, including running averages.
  public var observations: Int { looks.load(ordering: .relaxed) }

  /// The expected total numbers of updates and of observations; 0 before there is a plan.
  public var plannedGradientEvaluations: Int { plannedUpdates.load(ordering: .relaxed) }
  public var plannedObservations: Int { plannedLooks.load(ordering: .relaxed) }

  /// Adds to the expected totals, or takes from them what turns out not to be needed.
  public func expect(updates: Int, observations: Int = 0) {
    plannedLooks.add(observations, ordering: .relaxed)
    plannedUpdates.add(updates, ordering: .relaxed)
  }

  func addUpdate() { updates.add(1, ordering: .relaxed) }

  func addObservation() { looks.add(1, ordering: .relaxed) }
}

/// The work that a finished replay has done.
public struct ReplaySummary: Sendable {
  public internal(set) var gradientEvaluations = 0
  /// The planned updates that were left out because their states would come of diverged ones.
  public internal(set) var skippedGradientEvaluations = 0
  /// The number of states observed, including running averages and those found to have diverged.
  public internal(set) var observations = 0
  /// The time in seconds that lanes spent on updates, summed over lanes.
  public internal(set) var updateSeconds = 0.0
  /// The number of times that a state was added to a running average.
  public internal(set) var averagedStates = 0
  /// The time in seconds that lanes spent on that, summed over lanes. It is no part of `updateSeconds`.
  public internal(set) var averagingSeconds = 0.0
  /// The time in seconds that lanes spent on observations, summed over lanes.
  public internal(set) var observationSeconds = 0.0

  public init() {}

  public static func + (a: ReplaySummary, b: ReplaySummary) -> ReplaySummary {
    var sum = a
    sum.gradientEvaluations += b.gradientEvaluations
    sum.skippedGradientEvaluations += b.skippedGradientEvaluations
    sum.observations += b.observations
    sum.updateSeconds += b.updateSeconds
    sum.averagedStates += b.averagedStates
    sum.averagingSeconds += b.averagingSeconds
    sum.observationSeconds += b.observationSeconds
    return sum
  }
}
