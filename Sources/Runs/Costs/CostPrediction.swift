import Formats
import Foundation
import Replay
import Tensors

/// What a run will cost, before it is paid: the document `plan --json` prints, with the keys of a run's result.
public struct CostPrediction: Codable, Sendable {
  public struct Order: Codable, Sendable {
    public let order: String
    /// Alone, for one seed.
    public let gradientEvaluations: Int
    public let iterates: Int
  }

  public let orders: [Order]
  public let predictedGradientEvaluations: Int
  public let predictedWallSeconds: Double
  public let predictedPeakBytes: Int
  /// Where they go.
  public let memory: [MemoryEstimate.Term]
  /// What other amounts of memory would buy.
  public let memoryChoice: MemoryChoice
  public let stateBytes: Int
  /// Branching states kept in memory at once, besides those of the lanes, and on disk.
  public let slots: Int
  public let diskSlots: Int
  /// Of `predictedGradientEvaluations`, those that make states again for which there was no slot.
  public let repeatedUpdates: Int
  public let lanes: Int
  public let fingerprint: String
  /// Of the run's folder: checkpoints and database.
  public let predictedDiskBytes: Int
  /// What runs would cost that differ in one thing.
  public var neighbours: [CostNeighbour]
  /// The times all this is predicted from.
  public let calibration: Calibration

  /// Plans the run, and measures its times with trial updates for a few seconds.
  /// - Parameters:
  ///   - specification: the run, of which nothing is trained yet.
  ///   - folder: where a state is written for a moment.
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
    memory = estimate.terms
    memoryChoice = try specification.memoryChoice
      ?? specification.memoryChoice(specification.problem.memoryLevels(isMeasured: true), plan: PlanFootprint(plan))
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
