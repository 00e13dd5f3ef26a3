import Formats
import Foundation
import Replay
import Tensors

/// The predicted cost of a run: the document that `plan --json` prints, with the same keys as a run's result.
public struct CostPrediction: Codable, Sendable {
  public struct Order: Codable, Sendable {
    public let order: String
    /// The gradient evaluations of this order alone, for one seed.
    public let gradientEvaluations: Int
    public let iterates: Int
  }

  public let orders: [Order]
  public let predictedGradientEvaluations: Int
  public let predictedWallSeconds: Double
  public let predictedPeakBytes: Int
  /// The predicted peak of what a container is charged for and can't get back.
  public let predictedAccountBytes: Int
  /// The memory budget and what it was taken from; nil without one.
  public let memoryBudgetBytes: Int?
  public let memoryBudgetOrigin: String?
  /// The parts of `predictedPeakBytes`.
  public let memory: [MemoryEstimate.Term]
  /// The predicted cost with other amounts of memory.
  public let memoryChoice: MemoryChoice
  public let stateBytes: Int
  /// The most branching states kept at once: in memory, besides the states of the lanes (`slots`), and on disk
  /// (`diskSlots`).
  public let slots: Int
  public let diskSlots: Int
  /// The gradient evaluations, included in `predictedGradientEvaluations`, that compute states again for lack of
  /// slots.
  public let repeatedUpdates: Int
  public let lanes: Int
  public let fingerprint: String
  /// The size of the run's folder: checkpoints and database.
  public let predictedDiskBytes: Int
  /// The costs of runs that differ from this one in a single setting.
  public var neighbours: [CostNeighbour]
  /// The measured times that the prediction is based on.
  public let calibration: Calibration

  /// Plans the run and measures trial updates for a few seconds.
  /// - Parameter folder: A folder where a state can be written temporarily.
  public init<Problem>(_ specification: RunSpecification<Problem>, in folder: String) throws {
    let specification = try specification.fitted(in: folder).withinCostBudget().withOrdersToCome
    let plan = try specification.plan()
    orders = specification.selection.curves.map { order, points in
      Order(
        order: order.description, gradientEvaluations: ReplayPlanner.gradientEvaluations(of: order, points: points),
        iterates: points.count)
    }
    predictedGradientEvaluations = plan.gradientEvaluations
    let estimate = specification.memoryEstimate(plan)
    predictedPeakBytes = estimate.peakBytes
    predictedAccountBytes = estimate.accountBytes
    memoryBudgetBytes = specification.budgets.memory?.bytes
    memoryBudgetOrigin = specification.budgets.memory.map { "\($0.origin)" }
    memory = estimate.terms
    memoryChoice = try specification.memoryChoice
      ?? specification.memoryChoice(specification.problem.memoryLevels(isMeasured: true, in: folder), plan: PlanFootprint(plan))
    stateBytes = specification.stateBytes
    slots = plan.memorySlots
    diskSlots = plan.diskSlots
    repeatedUpdates = plan.repeatedUpdates
    lanes = specification.resources.lanes
    fingerprint = NumericsFingerprint.current()

    calibration = try Calibration(specification, in: folder)
    let cost = specification.cost(of: plan, calibration)
    predictedWallSeconds = cost.seconds
    predictedDiskBytes = cost.diskBytes
    neighbours = try specification.neighbours(calibration)
  }
}
