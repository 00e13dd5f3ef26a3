import Formats
import Replay
import Tensors

/// The most that a run may cost: a time, or a number of gradient evaluations.
public struct CostBudget: Codable, Equatable, Sendable, CustomStringConvertible {
  public let description: String
  /// The time in seconds; nil for a number of gradient evaluations.
  public let seconds: Double?
  /// The budget in updates, for all seeds. A time is converted when the run is made; nil before.
  public internal(set) var updates: Double?
  /// The cost of an observation in updates; 0 if the budget is a number of gradient evaluations.
  public internal(set) var observationCharge: Double

  /// Reads a budget such as `90s`, `5m`, `2h` or `20000`.
  public init(_ text: String) throws(RunError) {
    description = text
    observationCharge = 0
    let units = ["s": 1.0, "m": 60.0, "h": 3600.0]
    let unit = text.last.flatMap { units[String($0)] }
    guard let number = Double(unit == nil ? text[...] : text.dropLast()), number > 0, number <= 1e15 else {
      throw .usage(
        "`cost-budget` is '\(text)', but must be a time such as 90s, 5m or 2h, or a number of gradient evaluations")
    }
    seconds = unit.map { $0 * number }
    updates = unit == nil ? number : nil
  }

  /// Reads a stored budget, with the updates it was converted to when the run was made.
  public init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(try stored.decode(String.self, forKey: .description))
    updates = try stored.decodeIfPresent(Double.self, forKey: .updates) ?? updates
    observationCharge = try stored.decode(Double.self, forKey: .observationCharge)
    guard (updates ?? 0) >= 0, (updates ?? 0) <= 1e18, (0...1e18).contains(observationCharge) else {
      throw RunError.damaged("a cost budget of \(updates ?? 0) updates and \(observationCharge) for an observation can't be")
    }
  }

  /// The budget with its time converted to updates on `lanes` lanes.
  func calibrated(_ rates: [Calibration.Rate], lanes: Int) -> CostBudget {
    guard let seconds, updates == nil else { return self }
    var calibrated = self
    let rate = Calibration.rate(busy: Double(lanes), among: rates)
    calibrated.updates = seconds * Double(lanes) / rate.secondsPerUpdate
    calibrated.observationCharge = rate.secondsPerObservation / rate.secondsPerUpdate
    return calibrated
  }

  /// The budget with its time converted to updates by the speed of a replay so far: the machine may have been busier
  /// or quieter when rates were measured.
  func corrected(by replay: ReplaySummary, elapsed: Double) -> CostBudget {
    guard let seconds, elapsed > seconds / 20, replay.gradientEvaluations > 0, replay.observations > 0 else { return self }
    var corrected = self
    let perUpdate = replay.updateSeconds / Double(replay.gradientEvaluations)
    corrected.observationCharge = replay.observationSeconds / Double(replay.observations) / perUpdate
    let spent = Double(replay.gradientEvaluations) + corrected.observationCharge * Double(replay.observations)
    corrected.updates = spent * max(1, seconds / elapsed)
    return corrected
  }
}
