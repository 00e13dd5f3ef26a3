import Synchronization

/// How far a replay or a rewind is. Read it from any thread.
public final class ReplayProgress: Sendable {
  private let updates = Atomic<Int>(0)
  private let looks = Atomic<Int>(0)
  private let plannedUpdates = Atomic<Int>(0)
  private let plannedLooks = Atomic<Int>(0)

  public init() {}

  /// Updates applied so far.
  public var gradientEvaluations: Int { updates.load(ordering: .relaxed) }

  /// States looked at so far, running averages among them.
  public var observations: Int { looks.load(ordering: .relaxed) }

  /// What is expected in all; 0 before there is a plan.
  public var plannedGradientEvaluations: Int { plannedUpdates.load(ordering: .relaxed) }
  public var plannedObservations: Int { plannedLooks.load(ordering: .relaxed) }

  /// Notes what lies ahead, besides what has been noted before.
  public func expect(updates: Int, observations: Int = 0) {
    plannedLooks.add(observations, ordering: .relaxed)
    plannedUpdates.add(updates, ordering: .relaxed)
  }

  func addUpdate() { updates.add(1, ordering: .relaxed) }

  func addObservation() { looks.add(1, ordering: .relaxed) }
}

/// What a finished replay took.
public struct ReplaySummary: Sendable {
  public internal(set) var gradientEvaluations = 0
  /// States that were looked at, running averages among them.
  public internal(set) var observations = 0
  /// Seconds the lanes spent in updates, summed over lanes.
  public internal(set) var updateSeconds = 0.0
  /// Seconds the lanes spent observing, summed over lanes.
  public internal(set) var observationSeconds = 0.0

  public init() {}

  public static func + (a: ReplaySummary, b: ReplaySummary) -> ReplaySummary {
    var sum = a
    sum.gradientEvaluations += b.gradientEvaluations
    sum.observations += b.observations
    sum.updateSeconds += b.updateSeconds
    sum.observationSeconds += b.observationSeconds
    return sum
  }
}
