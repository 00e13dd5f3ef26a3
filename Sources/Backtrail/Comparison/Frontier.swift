import Runs
import Replay

/// The costs of ways to approximate the exact backward curve, and their errors on the same batches: the document that
/// `frontier --json` prints.
public struct Frontier: Encodable, Sendable {
  /// One way to approximate the curve: an order observed by a schedule and interpolated between observations.
  public struct Point: Sendable {
    public let series: Series
    public let schedule: String
    /// The gradient evaluations for one seed.
    public let gradientEvaluations: Int
    /// The gradient evaluations as a fraction of those of the exact curve.
    public let costFraction: Double
    /// The time for one seed on the run's lanes at its measured rates, including observations.
    public let seconds: Double
    /// The predicted peak memory if the point were run alone.
    public let peakBytes: Int
    /// The predicted size of the run's folder if the point were run alone with this run's checkpoints.
    public let storedBytes: Int
    /// The error of each metric against the exact curve, in the order of the metrics.
    public let errors: [MetricError]
    /// The mean loss over the compared n.
    public let loss: Estimate
    /// The standard deviation of the loss's change from one observed n to the next; nil with fewer than three.
    public let noise: Estimate?
    /// ‖θ − θ_exact‖ / ‖θ_exact − θ_0‖ over the parameters at the last n.
    public let distance: Estimate?
    /// 1 − lossError / (loss error of the best guess): 1 is exact, 0 no better than guessing; nil if there are no
    /// guesses.
    public let skill: Estimate?
    /// Whether the skill is above 0 with 95 % confidence.
    public let hasSkill: Bool
    /// Whether no other point has both a lower cost and a smaller error.
    public let isOptimal: Bool

    /// The mean error of the loss.
    public var lossError: Estimate { errors[0].mean }
  }

  /// The absolute difference of a metric from the exact curve's, over all compared n.
  public struct MetricError: Sendable {
    public let metric: Metric
    public let mean: Estimate
    public let worst: Estimate
  }

  /// A guess of the backward curve that an ordinary forward run gives at no extra cost.
  public struct Guess: Encodable, Sendable {
    public let name: String
    public let lossError: Estimate
  }

  /// An order or average that has diverged, and so is not compared.
  public struct DivergedSeries: Encodable, Sendable {
    public let series: Series
    public let seeds: [SeedDivergence]
  }

  public let run: String
  /// The exact curve; nil if backward has diverged for every seed, so that there is nothing to compare with.
  public let exact: Point?
  /// The compared n: all observed n of the exact curve from `comparedFrom` to `comparedTo`.
  public let comparedFrom: Int
  public let comparedTo: Int
  public let comparedCount: Int
  /// The number of compared seeds: those for which backward has not diverged.
  public let seeds: Int
  /// The guesses, the best first.
  public let guesses: [Guess]
  /// The points in ascending order of gradient evaluations.
  public let points: [Point]
  /// The series that have diverged. Those that did for a compared seed have no points; nil if none have.
  public internal(set) var diverged: [DivergedSeries]?
  /// The summaries of the run's orders and averages, and of baselines trained beside them.
  public var comparison: [SeriesSummary] = []
  /// The costs of settings that change neither orders nor schedules.
  public var settings: [SettingPoint] = []
}

extension Frontier.Point: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: DocumentKey.self)
    try document.encode(series, forKey: "series")
    try document.encode(schedule, forKey: "schedule")
    try document.encode(gradientEvaluations, forKey: "gradientEvaluations")
    try document.encode(costFraction, forKey: "costFraction")
    try document.encode(seconds, forKey: "seconds")
    try document.encode(peakBytes, forKey: "peakBytes")
    try document.encode(storedBytes, forKey: "storedBytes")
    for error in errors {
      let key = error.metric.errorKey
      try document.encode(error.mean, forKey: DocumentKey(key))
      try document.encode(error.worst, forKey: DocumentKey("worst" + key.prefix(1).uppercased() + key.dropFirst()))
    }
    try document.encode(loss, forKey: DocumentKey(errors[0].metric.name))
    try document.encodeIfPresent(noise, forKey: "noise")
    try document.encodeIfPresent(distance, forKey: "distance")
    try document.encodeIfPresent(skill, forKey: "skill")
    try document.encode(hasSkill, forKey: "hasSkill")
    try document.encode(isOptimal, forKey: "isOptimal")
  }
}

extension Metric {
  /// The key of the metric's error in documents: `lossError` for `testLoss`.
  package var errorKey: String {
    let short = name.hasPrefix("test") && name.count > 4 ? String(name.dropFirst(4)) : name
    return short.prefix(1).lowercased() + short.dropFirst() + "Error"
  }
}

/// The orders and the schedule used if none are given.
extension Frontier {
  /// Orders worth comparing over N steps, each with a schedule that its cost allows.
  public static func orders(steps: Int) -> [String] {
    func part(_ divisor: Int) -> Int { max(1, steps / divisor) }
    let often = "@every:\(part(100))"
    return ["backward", "forward"]
      + Set([part(100), part(20), part(5)]).sorted().map { "tail:\($0)\(often)" }
      + Set([part(50), part(10)]).sorted().map { "splice:\($0)\(often)" }
      + ["window:\(part(20))\(often)", "sliding:8\(often)", "sliding-forward:8\(often)"]
  }

  /// The schedule of the exact curve if none is given.
  public static func schedule(steps: Int) -> String { "every:\(max(1, steps / 100))" }
}
