import Replay
import Runs

/// The plan of a frontier measurement: exact backward and cheaper orders in one run, baselines and settings in runs
/// beside it.
public struct FrontierStudy: Sendable {
  /// The first compared n; nil for the middle of the run.
  public var comparesFrom: Int?
  /// Whether last iterates are recalled to measure the distance of their parameters.
  public var measuresDistance = true
  /// The baselines to train with the run's seeds and data.
  public var baselines: [Baseline] = []
  /// Further baselines, which are left out if the run can't have them.
  public var usualBaselines: [Baseline] = []
  /// The settings whose cost is measured.
  public var sweptSettings: [SweptSetting] = []

  public init() {}

  /// The results of the measurement.
  public struct Outcome: Sendable {
    public let frontier: Frontier
    public let baselines: [BaselineResult]
  }

  // MARK: Before anything is trained

  /// Completes the settings of a run that is trained for a comparison: default orders and a schedule if none are
  /// given, and always forward and backward.
  /// - Throws: `RunError.usage` if the settings leave nothing to compare.
  public func completed(_ settings: RunSettings) throws -> RunSettings {
    guard settings.costBudget == nil else {
      throw RunError.usage(
        """
        frontier compares with exact backward iterates, which a `cost-budget` may have no room for; leave it out, and choose them \
        with `evaluate`, such as every:10
        """)
    }
    let steps = try RunConfiguration(settings).steps
    if let comparesFrom, comparesFrom > steps - 2 {
      throw RunError.usage("`compare-from` is \(comparesFrom), which leaves fewer than 3 n to compare up to `steps` \(steps); give less")
    }
    guard steps > 2 else { throw RunError.usage("`steps` is \(steps), but a frontier compares 3 n or more; give more") }
    let given = settings.orders ?? []
    let exact = given.map(ObservedOrder.parts).first { $0.order == Self.backward }?.schedule ?? settings.evaluate
    if exact?.hasPrefix("auto:") == true {
      throw RunError.usage(
        """
        frontier compares at the n where exact backward is observed, so these must be given: `evaluate` every:K, say. What auto:ERROR \
        would have seen is among its points where every n is observed
        """)
    }
    var completed = settings
    var orders = settings.orders ?? Frontier.orders(steps: steps)
    for needed in [CompositionOrder.forward.description, Self.backward]
    where !orders.contains(where: { ObservedOrder.parts(of: $0).order == needed }) {
      orders.insert(needed, at: 0)
    }
    completed.orders = orders
    completed.evaluate = settings.evaluate ?? Frontier.schedule(steps: steps)
    return completed
  }

  private static let backward = CompositionOrder.backward.description

  /// Checks baselines before anything is trained for a comparison with them.
  /// - Throws: An error if one can't be trained beside the run.
  public func check(_ specification: RunSpecification<NetworkProblem>, _ configuration: RunConfiguration) throws {
    for baseline in baselines { try baseline.check(specification, configuration) }
  }

  // MARK: Afterwards

  /// Compares the observations of a finished run, and trains baselines and swept settings for comparison.
  /// - Parameters:
  ///   - settings: The settings the run was made with, which swept settings vary.
  ///   - train: Trains the small run for a value of a swept setting.
  ///   - didNotice: Called with a message about everything that is trained or left out.
  public func measure(
    _ run: NetworkRun, settings: RunSettings, train: @escaping SettingSweep.Training, didNotice: (String) -> Void
  ) async throws -> Outcome {
    var frontier = try await run.frontier(from: comparesFrom, measuresDistance: measuresDistance)
    var results: [BaselineResult] = []
    let configuration = try run.configuration
    for baseline in baselines + usualBaselines.filter({ (try? $0.check(run.specification, configuration)) != nil }) {
      didNotice("baseline \(baseline)")
      results.append(try await run.train(baseline))
    }
    if !sweptSettings.isEmpty {
      didNotice("sweep")
      let sweep = SettingSweep(settings, beside: run, train: train)
      frontier.settings = try await sweep.measure(sweptSettings, didRefuse: didNotice)
    }
    frontier.comparison += results.map(\.summary)
    return Outcome(frontier: frontier, baselines: results)
  }
}
