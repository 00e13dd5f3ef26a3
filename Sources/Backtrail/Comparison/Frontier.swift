import Runs
import Replay

/// What ways to approximate the exact backward curve cost, and how near to it they come on the same batches: the document
/// `frontier --json` prints.
public struct Frontier: Encodable, Sendable {
  /// One way: an order observed by a schedule, its observations joined by lines.
  public struct Point: Sendable {
    public let series: Series
    public let schedule: String
    /// For one seed.
    public let gradientEvaluations: Int
    /// Of those of the exact curve.
    public let costFraction: Double
    /// On the run's lanes at its measured rates, for one seed, observations included.
    public let seconds: Double
    /// Predicted, were it run alone.
    public let peakBytes: Int
    /// Of the run's folder, were it run alone with this run's checkpoints.
    public let storedBytes: Int
    /// How far each metric is from the exact curve's, in the metrics' order.
    public let errors: [MetricError]
    /// The mean loss over the compared n.
    public let loss: Estimate
    /// Of the loss, from one observed n to the next; nil with fewer than three.
    public let noise: Estimate?
    /// ‖θ − θ_exact‖ / ‖θ_exact − θ_0‖ of the parameters at the last n.
    public let distance: Estimate?
    /// 1 − lossError / that of the best free guess: 1 is exact, 0 no better than guessing; nil without guesses.
    public let skill: Estimate?
    /// Whether skill is above 0 with 95 % confidence.
    public let hasSkill: Bool
    /// Whether no other point costs less and errs less.
    public let isOptimal: Bool

    /// That of the loss.
    public var lossError: Estimate { errors[0].mean }
  }

  /// |difference| of a metric to the exact curve's, over all compared n.
  public struct MetricError: Sendable {
    public let metric: Metric
    public let mean: Estimate
    public let worst: Estimate
  }

  /// What an ordinary forward run gives as a guess of the backward curve.
  public struct Guess: Encodable, Sendable {
    public let name: String
    public let lossError: Estimate
  }

  public let run: String
  public let exact: Point
  /// The n at which curves are compared: every observed one of the exact curve in this range.
  public let comparedFrom: Int
  public let comparedTo: Int
  public let comparedCount: Int
  public let seeds: Int
  /// Best first.
  public let guesses: [Guess]
  /// By gradient evaluations.
  public let points: [Point]
  /// The run's orders and averages, and baselines trained beside them.
  public var comparison: [SeriesSummary] = []
  /// What settings cost that change no order and no schedule.
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
  /// How its error is called in documents: `lossError` for `testLoss`.
  package var errorKey: String {
    let short = name.hasPrefix("test") && name.count > 4 ? String(name.dropFirst(4)) : name
    return short.prefix(1).lowercased() + short.dropFirst() + "Error"
  }
}

/// How the exact curve and its approximations are asked for.
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

  /// The schedule of the exact curve, where none is given.
  public static func schedule(steps: Int) -> String { "every:\(max(1, steps / 100))" }
}
