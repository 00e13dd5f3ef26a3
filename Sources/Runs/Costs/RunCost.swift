import Formats
import Foundation
import Replay
import Tensors

/// The predicted cost of a run.
public struct RunCost: Codable, Sendable {
  public let gradientEvaluations: Int
  /// The time from the first update to the last row written to the database; nil if nothing was measured.
  public let seconds: Double?
  public let peakBytes: Int
  /// The size of the run's folder: checkpoints and database.
  public let diskBytes: Int
}

extension RunSpecification {
  /// The predicted cost of executing `plan`, with its time if `calibration` has measured any.
  func cost(of plan: ReplayPlan, _ calibration: Calibration?) -> RunCost {
    let checkpoints = plan.checkpointCounts
    return RunCost(
      gradientEvaluations: plan.gradientEvaluations,
      seconds: calibration.map { seconds(of: plan, $0, storedStates: checkpoints.states + checkpoints.averages) },
      peakBytes: peakBytes(of: plan),
      diskBytes: diskBytes(of: plan, stateBytes: storedBytes(checkpoints, calibration?.storage.sizes ?? StoredSizes(guessedFor: stateBytes))))
  }

  /// The predicted cost of one seed's part of a run alone, from measured rates.
  /// - Parameter bytesPerState: The size of a checkpoint.
  package func cost(
    ofAlone selection: IterateSelection, secondsPerUpdate: Double, secondsPerObservation: Double, bytesPerState: Int
  ) throws -> RunCost {
    let alone = alone(selection)
    let plan = try alone.plan()
    let observation = secondsPerUpdate > 0 ? secondsPerObservation / secondsPerUpdate : 0
    let checkpoints = plan.checkpointCounts
    return RunCost(
      gradientEvaluations: plan.gradientEvaluations,
      seconds: secondsPerUpdate * plan.duration(lanes: resources.lanes, observationCost: observation),
      peakBytes: alone.peakBytes(of: plan),
      diskBytes: alone.diskBytes(of: plan, stateBytes: (checkpoints.states + checkpoints.averages) * bytesPerState))
  }

  /// The predicted peak of a process that has read the data and does nothing but this run.
  func peakBytes(of plan: ReplayPlan) -> Int {
    memoryEstimate(
      PlanFootprint(plan), lanes: resources.lanes, memory: problem.laneMemory, isOpen: false, process: processBefore
    ).peakBytes
  }

  /// The predicted size of the run's folder in bytes.
  /// - Parameter stateBytes: The total size of all its checkpoints if there were no disk budget.
  func diskBytes(of plan: ReplayPlan, stateBytes: Int) -> Int {
    min(stateBytes, budgets.disk ?? .max)
      + databaseBytes(observations: plan.observationCount + plan.averageObservationCount)
  }

  private func seconds(of plan: ReplayPlan, _ calibration: Calibration, storedStates: Int) -> Double {
    let workers = min(resources.lanes, ProcessInfo.processInfo.activeProcessorCount)
    func duration(lanes: Int, at rate: (secondsPerUpdate: Double, secondsPerObservation: Double)) -> Double {
      rate.secondsPerUpdate
        * plan.duration(lanes: lanes, observationCost: rate.secondsPerObservation / rate.secondsPerUpdate)
    }
    // While some lanes wait, the others run faster.
    let full = calibration.rate(busy: Double(workers))
    let busy = duration(lanes: 1, at: full) / max(duration(lanes: workers, at: full), .leastNonzeroMagnitude)
    return duration(lanes: workers, at: calibration.rate(busy: busy))
      + Double(storedStates) * calibration.storage.saveSeconds / max(1, busy)
  }

  /// The predicted total size of the checkpoints in bytes, some of which are differences if chains are allowed.
  private func storedBytes(_ count: (states: Int, averages: Int), _ sizes: StoredSizes) -> Int {
    let chain = budgets.checkpoints.chainLength
    let differences = Double(count.states) * Double(chain) / Double(chain + 1)
    let bytes = (Double(count.states + count.averages) - differences) * Double(sizes.bytes) + differences * Double(sizes.differenceBytes)
    // For the longest plans the number would overflow an `Int`.
    return Int(min(bytes, 1e18))
  }
}

/// The size of a checkpoint in bytes, whole and as the difference to the state one update before.
struct StoredSizes {
  var bytes: Int
  var differenceBytes: Int
}

extension StoredSizes {
  /// Sizes by what states of trained networks come to on average.
  init(guessedFor stateBytes: Int) {
    self.init(bytes: stateBytes / 100 * 83, differenceBytes: stateBytes / 100 * 37)
  }
}

/// The size of the database in bytes: measured pages of an empty run and for each observation with its seal.
private func databaseBytes(observations: Int) -> Int { 45 << 10 + 320 * observations }

/// A configuration that differs in one setting from the one asked about, with its cost.
public struct CostNeighbour: Codable, Sendable {
  /// The setting in backquotes and its value, such as lanes in backquotes and then 1.
  public var change: String
  public let cost: RunCost
}

extension RunSpecification {
  /// The costs of runs that differ in a single setting: one order alone, half or twice the τ or W, observations half
  /// or twice as often, other numbers of lanes, another checkpoint interval.
  func neighbours(_ calibration: Calibration?) throws -> [CostNeighbour] {
    var found: [CostNeighbour] = []
    func add(_ change: String, _ varied: RunSpecification) throws {
      do {
        found.append(CostNeighbour(change: change, cost: varied.cost(of: try varied.plan(), calibration)))
      } catch ReplayError.tooManyUpdates {
        // A run that can't be planned is no alternative.
      }
    }
    let (orders, steps) = (selection.orders, workload.steps)
    if orders.count > 1 {
      for (order, points) in selection.curves { try add("`order` \(order) alone", with(IterateSelection([order], [points]))) }
    }
    for (index, order) in orders.enumerated() {
      let last = order.sequence(steps)
      for other in order.resized where !orders.contains(other) && other.sequence(steps) != last {
        var varied = selection
        varied.orders[index] = other
        try add("`order` \(other) for \(order)", with(varied))
      }
    }
    for other in workload.schedule.neighbours {
      guard let points = try? other.points(steps: steps) else { continue }
      let following = workload.orders.filter { workload.schedule(of: $0) == workload.schedule }.map(\.order)
      // The order that an automatic one will choose is not known.
      guard !following.isEmpty, !following.contains(nil) else { continue }
      var varied = selection
      for index in varied.orders.indices where following.contains(varied.orders[index]) { varied.points[index] = points }
      try add("`evaluate` \(other)", with(varied))
    }
    for lanes in [resources.lanes / 2, resources.lanes * 2] where lanes >= 1 && memoryChoice == nil {
      var varied = budgets
      varied.lanes = lanes
      try add("`lanes` \(lanes)", with(varied))
    }
    let interval = budgets.checkpoints.interval
    for other in interval.map({ [max(1, $0 / 10), $0 * 10, 0] }) ?? [1000] where other <= steps && other != interval {
      var varied = budgets
      varied.checkpoints.interval = other > 0 ? other : nil
      var specification = with(varied)
      (specification.resources, specification.memoryChoice) = (resources, memoryChoice)
      try add("`checkpoint-every` \(other)", specification)
    }
    return found
  }
}

extension CompositionOrder {
  /// The same rule with half and with twice its size; empty for orders without a size.
  fileprivate var resized: [CompositionOrder] {
    func both(_ size: Int, _ make: (Int) -> CompositionOrder) -> [CompositionOrder] {
      Set([max(1, size / 2), size * 2]).subtracting([size]).sorted().map(make)
    }
    return switch self {
    case .forward, .backward, .randomOrder, .listed: []
    case .tail(let size): both(size, CompositionOrder.tail)
    case .splice(let size): both(size, CompositionOrder.splice)
    case .window(let size): both(size, CompositionOrder.window)
    case .sliding(let size): both(size, CompositionOrder.sliding)
    case .slidingForward(let size): both(size, CompositionOrder.slidingForward)
    case .flipflop(let size): both(size, CompositionOrder.flipflop)
    case .reshuffled(let size): both(size, CompositionOrder.reshuffled)
    case .paired(let size): both(size, CompositionOrder.paired)
    case .blocks(let size): both(size, CompositionOrder.blocks)
    }
  }
}

extension EvaluationSchedule {
  /// The schedules with half and twice as many points.
  fileprivate var neighbours: [EvaluationSchedule] {
    switch self {
    case .every(let stride): Set([max(1, stride / 2), 2 * min(stride, Int.max / 2)]).subtracting([stride]).sorted().map(EvaluationSchedule.every)
    case .logarithmic(let count): [max(1, count / 2), count * 2].map(EvaluationSchedule.logarithmic)
    case .at, .automatic: []
    }
  }
}
