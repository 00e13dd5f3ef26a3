import Synchronization

/// How far a replay is. Read it from any thread.
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

  /// What the plans begun so far hold; 0 before the first.
  public var plannedGradientEvaluations: Int { plannedUpdates.load(ordering: .relaxed) }
  public var plannedObservations: Int { plannedLooks.load(ordering: .relaxed) }

  func begin(_ plan: ReplayPlan) {
    plannedLooks.add(plan.observationCount + plan.averageObservationCount, ordering: .relaxed)
    plannedUpdates.add(plan.gradientEvaluations, ordering: .relaxed)
  }

  func addUpdate() { updates.add(1, ordering: .relaxed) }

  func addObservation() { looks.add(1, ordering: .relaxed) }
}
