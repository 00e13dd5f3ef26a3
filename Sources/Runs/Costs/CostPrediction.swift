import Formats
import Foundation
import Replay
import Tensors

/// The predicted cost of a run: the document that `plan --json` prints, with the same keys as a run's result.
///
/// If nothing is measured, it has no times: `predictedWallSeconds`, `secondsPerUpdate`, the `seconds` of neighbours and `calibration`
/// are nil, and their keys are left out of the document. All other figures are the same, but for those of a memory budget, whose
/// lanes, slots and memory level are then chosen by guessed times, and the size of checkpoints, which is then that of states of
/// trained networks on average.
public struct CostPrediction: Codable, Sendable {
  public struct Order: Codable, Sendable {
    public let order: String
    /// The gradient evaluations of this order alone, for one seed.
    public let gradientEvaluations: Int
    public let iterates: Int
  }

  public let orders: [Order]
  public let predictedGradientEvaluations: Int
  /// Whether times were measured.
  public let isMeasured: Bool
  public let predictedWallSeconds: Double?
  /// The multiply-adds of all updates' products; nil if they are not known.
  public let predictedMultiplyAdds: Double?
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
  /// The level of SIMD that times were measured with: `SIMDLevel.current`.
  public let simdLevel: String
  /// The size of the run's folder: checkpoints and database.
  public let predictedDiskBytes: Int
  /// The costs of runs that differ from this one in a single setting.
  public var neighbours: [CostNeighbour]
  /// The measured times that the prediction is based on.
  public let calibration: Calibration?

  /// Plans the run, and measures trial updates for a few seconds.
  /// - Parameters:
  ///   - folder: A folder where a state can be written temporarily.
  ///   - measurement: How times are measured; nil to measure nothing and to write no file.
  public init<Problem>(
    _ specification: RunSpecification<Problem>, in folder: String, measuring measurement: TimeMeasurement? = TimeMeasurement()
  ) throws {
    var specification = try specification.fitted(in: folder, measuring: measurement)
    // The levels of a memory budget have their times already.
    func levels() throws -> [MemoryLevel<Problem>] {
      try specification.measuredLevels ?? specification.problem.memoryLevels(measuring: measurement, in: folder)
    }
    var known: [MemoryLevel<Problem>]?
    if let budget = specification.workload.costBudget {
      if budget.updates == nil, measurement != nil { known = try levels() }
      let times = try known.flatMap { try LongUpdate(specification, levels: $0) }
      specification = try specification.withinCostBudget(times, isMeasured: measurement != nil)
    }
    specification = specification.withOrdersToCome
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
    let all = try known ?? levels()
    memoryChoice = specification.memoryChoice
      ?? specification.memoryChoice(all, plan: PlanFootprint(plan), isMeasured: measurement != nil)
    isMeasured = measurement != nil
    predictedMultiplyAdds = memoryChoice.chosen.multiplyAddsPerUpdate.map { $0 * Double(plan.gradientEvaluations) }
    stateBytes = specification.stateBytes
    slots = plan.memorySlots
    diskSlots = plan.diskSlots
    repeatedUpdates = plan.repeatedUpdates
    lanes = specification.resources.lanes
    fingerprint = NumericsFingerprint.current(for: specification.problem)
    simdLevel = SIMDLevel.current.description

    calibration = try measurement.map { measurement in
      FloatBuffer.returnFreedMemory()
      return try Calibration(specification, levels: all, LongUpdate(specification, levels: all), measurement, in: folder)
    }
    let cost = specification.cost(of: plan, calibration)
    predictedWallSeconds = cost.seconds
    predictedDiskBytes = cost.diskBytes
    neighbours = try specification.neighbours(calibration)
  }
}
