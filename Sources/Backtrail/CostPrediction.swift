import Foundation
import Networks
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

  /// Plans the run, and times trial updates and one observation for about a second.
  public init(_ experiment: Experiment) throws {
    let experiment = try experiment.fitted()
    MatrixKernels.threads = experiment.configuration.kernelThreads
    let plan = experiment.plan()
    orders = zip(experiment.orders, experiment.points).map { order, points in
      Order(
        order: order.description, gradientEvaluations: ReplayPlanner.gradientEvaluations(of: order, points: points),
        iterates: points.count)
    }
    predictedGradientEvaluations = plan.gradientEvaluations
    let estimate = experiment.memoryEstimate(plan)
    predictedPeakBytes = estimate.peakBytes
    memory = estimate.terms
    memoryChoice = try experiment.memoryChoice ?? experiment.memoryChoice(
      curve: MemoryCurve(experiment.maps[0].network, costs: experiment.measuredCosts()))
    stateBytes = experiment.stateBytes
    slots = plan.memorySlots
    diskSlots = plan.diskSlots
    repeatedUpdates = plan.repeatedUpdates
    lanes = experiment.configuration.lanes
    fingerprint = NumericsFingerprint.current()

    let rates = try TrialRates(experiment)
    let observation = rates.secondsPerObservation / rates.secondsPerUpdate
    let workers = min(lanes, ProcessInfo.processInfo.activeProcessorCount)
    predictedWallSeconds = rates.secondsPerUpdate * plan.duration(lanes: workers, observationCost: observation)
  }
}

/// Measured seconds of an update and of an observation on one lane.
struct TrialRates {
  let secondsPerUpdate: Double
  let secondsPerObservation: Double

  init(_ experiment: Experiment) throws {
    let map = experiment.maps[0]
    var state = try experiment.initialState(replica: 0)
    var workspace = try map.makeWorkspace()
    let clock = ContinuousClock()
    let last = map.sampler.batchCount ?? .max
    var updates = 0

    /// Updates for `seconds`, and at least two; their mean time.
    func update(for seconds: Double) -> Double {
      let begin = clock.now
      let before = updates
      repeat {
        map.apply(batch: updates % last + 1, position: updates, to: &state.values, workspace: &workspace)
        updates += 1
      } while updates - before < 2 || clock.now - begin < .seconds(seconds)
      return (clock.now - begin) / .seconds(1) / Double(updates - before)
    }

    // The first updates also pay for touching memory.
    _ = update(for: 0.05)
    secondsPerUpdate = update(for: 0.5)
    _ = map.evaluate(state.values, workspace: &workspace)
    let begin = clock.now
    _ = map.evaluate(state.values, workspace: &workspace)
    secondsPerObservation = (clock.now - begin) / .seconds(1)
  }
}
