import Replay
import Runs

/// What a frontier is measured from, and how: exact backward and cheaper orders in one run, baselines and settings in runs beside it.
public struct FrontierStudy: Sendable {
  /// The first n compared; nil for the middle of the run.
  public var comparesFrom: Int?
  /// Whether last iterates are brought back to tell how far apart their parameters are.
  public var measuresDistance = true
  /// Trained with the run's seeds and data.
  public var baselines: [Baseline] = []
  /// Baselines that are left out where the run has no such.
  public var usualBaselines: [Baseline] = []
  /// Settings whose cost is measured.
  public var sweptSettings: [SweptSetting] = []

  public init() {}

  /// What came of it.
  public struct Outcome: Sendable {
    public let frontier: Frontier
    public let baselines: [BaselineResult]
  }

  // MARK: Before anything is trained

  /// The settings of a run that is trained to be compared: orders and a schedule where none are given, forward and backward always.
  /// - Throws: `RunError.usage` where settings leave nothing to compare.
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

  /// Refuses baselines and settings before anything is trained for them to be compared with.
  public func check(_ specification: RunSpecification<NetworkProblem>, _ configuration: RunConfiguration) throws {
    for baseline in baselines { try baseline.check(specification, configuration) }
  }

  // MARK: Afterwards

  /// Compares what a finished run observed, and trains what it is compared with.
  /// - Parameters:
  ///   - run: it has finished.
  ///   - settings: those the run was made with, which swept settings vary.
  ///   - train: trains the small run of a swept setting's value.
  ///   - didNotice: told what is trained, and of what is left out and why.
  public func measure(
    _ run: NetworkRun, settings: RunSettings, train: @escaping SettingSweep.Training, didNotice: (String) -> Void
  ) async throws -> Outcome {
    var frontier = try await run.frontier(from: comparesFrom, measuresDistance: measuresDistance)
    var results: [BaselineResult] = []
    let configuration = try run.configuration
    for baseline in baselines + usualBaselines.filter({ (try? $0.check(run.specification, configuration)) != nil }) {
      didNotice("baseline \(baseline)")
      do {
        results.append(try await run.train(baseline))
      } catch RunError.diverged(let metric, _, let seed, let n) {
        didNotice("baseline \(baseline) is left out: its \(metric.title) is not finite at iterate \(n) (seed \(seed)); try a smaller factor")
      }
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
