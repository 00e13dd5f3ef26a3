import Datasets
import Networks
import Replay
import Runs

/// A complete configuration of a run. Together with the numerics fingerprint it determines every bit of every
/// iterate, whatever `lanes` is. It has a property for each setting of the table, such as `steps` or `learningRate`.
@dynamicMemberLookup
public struct RunConfiguration: Equatable, Sendable {
  /// The values by key. A setting that is not in it has its default.
  private var values: [String: any HeldValue] = [:]
  /// The N that the learning-rate schedule is for, if it is not `steps`.
  private var ownScheduleSteps: Int?

  /// Makes a configuration of defaults only, which are computed from each other.
  init() {}

  public subscript<Given, Value>(dynamicMember path: KeyPath<SettingsTable, Setting<Given, Value>>) -> Value {
    get { self[SettingsTable.shared[keyPath: path]] }
    set { self[SettingsTable.shared[keyPath: path]] = newValue }
  }

  subscript<Given, Value>(setting: Setting<Given, Value>) -> Value {
    get { (values[setting.key] as? Held<Value>)?.value ?? setting.usual(self) }
    set { values[setting.key] = Held(value: newValue) }
  }

  /// The N that the learning-rate schedule is for: that of the run when it was made, however far it is extended.
  public var scheduleSteps: Int {
    get { ownScheduleSteps ?? self.steps }
    set { ownScheduleSteps = newValue }
  }

  public var seeds: Range<Int> { self.seed..<self.seed + self.seedCount }

  /// Whether the run was made with fewer steps and its schedule is still for those.
  public var isExtended: Bool { self.schedule != "constant" && self.steps != scheduleSteps }

  public static func == (first: RunConfiguration, second: RunConfiguration) -> Bool {
    first.ownScheduleSteps == second.ownScheduleSteps && first.values.count == second.values.count
      && first.values.allSatisfy { key, value in second.values[key].map(value.isEqual) ?? false }
  }
}

/// The value of a setting, of any type.
private protocol HeldValue: Sendable {
  func isEqual(to other: any HeldValue) -> Bool
}

private struct Held<Value: Equatable & Sendable>: HeldValue {
  let value: Value

  func isEqual(to other: any HeldValue) -> Bool { (other as? Held<Value>)?.value == value }
}

// MARK: - From settings

extension RunConfiguration {
  /// Checks every setting that can be checked without reading a file, and completes the settings with defaults.
  /// - Throws: `RunError.usage`, naming the setting, and `.impossible` for settings that don't go together.
  public init(_ settings: RunSettings) throws(RunError) {
    self.init()
    try complete { setting, configuration in try setting.fill(&configuration, from: settings) }
  }

  /// Completes this configuration: given values come first, since defaults are computed from them.
  /// - Parameter fill: Stores the value of a setting if it is given.
  private mutating func complete(_ fill: (any AnySetting, inout RunConfiguration) throws -> Void) throws(RunError) {
    do {
      for setting in SettingsTable.all { try fill(setting, &self) }
      for setting in SettingsTable.all { setting.fillUsual(&self) }
      scheduleSteps = self.steps
      try check()
    } catch let error as RunError {
      throw error
    } catch {
      throw .usage("\(error)")
    }
  }

  /// Checks conditions that involve several settings.
  private func check() throws {
    for schedule in self.orders.compactMap({ ObservedOrder.parts(of: $0).schedule }) { _ = try EvaluationSchedule(schedule).points(steps: self.steps) }
    _ = try evaluationSchedule.points(steps: self.steps)
    if try updateRule.slotNames.isEmpty, self.optimizerPrecision != .float32 {
      throw RunError.impossible(
        """
        `optimizer-precision` \(self.optimizerPrecision) is for an optimizer with slots, and `optimizer` \(self.optimizer) has none; leave it out, \
        or take momentum, nesterov, adam, adamw or rmsprop
        """)
    }
    _ = try learningRateSchedule
    if let costBudget = self.costBudget, !self.evaluate.hasPrefix("auto:") {
      throw RunError.usage(
        """
        `cost-budget` \(costBudget) decides which iterates are observed, so `evaluate` \(self.evaluate) can't be given with it; \
        leave it out, or give auto:ERROR to stop earlier
        """)
    }
  }
}

// MARK: - What specifications mean

extension RunConfiguration {
  /// The schedule of orders without one of their own.
  public var evaluationSchedule: EvaluationSchedule {
    get throws(ScheduleError) { try EvaluationSchedule(self.evaluate) }
  }

  /// The optimizer with its weight decay and the precision of its slots.
  public var updateRule: Optimizer {
    get throws(NetworkError) {
      try Optimizer(self.optimizer, weightDecay: self.weightDecay, slotPrecision: self.optimizerPrecision)
    }
  }

  public var learningRateSchedule: LearningRateSchedule {
    get throws(NetworkError) {
      try LearningRateSchedule(self.schedule, warmUp: self.warmUp, horizon: scheduleSteps, index: self.scheduleIndex)
    }
  }

  /// The random changes of training images; nil for none.
  public var augmentation: Augmentation? {
    get throws(DatasetError) {
      guard let text = self.augment else { return nil }
      return try Augmentation(text)
    }
  }
}

// MARK: - Stored

/// A stored configuration has a key for each setting. Settings unknown to the version that stored it have their
/// defaults, and everything is checked like given settings.
extension RunConfiguration: Codable {
  private static let scheduleStepsKey = SettingKey("scheduleSteps")

  public init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: SettingKey.self)
    self.init()
    // A document of another shape causes a decoding error, which says where.
    for setting in SettingsTable.all { try setting.fill(&self, from: stored) }
    try complete { _, _ in }
    guard let scheduleSteps = try stored.decodeIfPresent(Int.self, forKey: Self.scheduleStepsKey) else { return }
    guard (1...BatchRun.largestBatch).contains(scheduleSteps) else {
      throw RunError.damaged("the schedule is for \(scheduleSteps) steps, but a run has from 1 to \(BatchRun.largestBatch)")
    }
    self.scheduleSteps = scheduleSteps
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: SettingKey.self)
    for setting in SettingsTable.all { try setting.encode(self, to: &container) }
    try container.encode(scheduleSteps, forKey: Self.scheduleStepsKey)
  }
}
