extension RunConfiguration {
  /// The flags of `train` that make this run again: those whose values are not the defaults.
  ///
  /// A run that was extended and whose learning rate follows a schedule is the run it was made as, and then extended again.
  /// - Parameter initialState: a file to start from in place of what `initial` names, which may be gone by now.
  public func options(initialState: String? = nil) -> [(flag: String, value: String)] {
    var asked = self
    if initial != nil, let initialState { asked.initial = initialState }
    if isExtended { asked.steps = scheduleSteps }
    // These decide what is usual for others.
    let deciding: [RunSettings.CodingKeys] = [.steps, .costBudget, .sampler]
    var settings = RunSettings()
    let plain = try? RunConfiguration(settings)
    settings.steps = asked.steps
    settings.costBudget = costBudget?.description
    settings.sampler = sampler
    let usual = try? RunConfiguration(settings)
    return RunSettings.CodingKeys.allCases.flatMap { key in
      let values = asked.values(of: key)
      return values == (deciding.contains(key) ? plain : usual)?.values(of: key) ? [] : values.map { (key.rawValue, $0) }
    }
  }

  /// Whether the run was made with fewer steps and its schedule is still for those.
  public var isExtended: Bool { schedule != "constant" && steps != scheduleSteps }

  /// What a flag would have to say; empty for nothing.
  private func values(of key: RunSettings.CodingKeys) -> [String] {
    func one(_ value: (some CustomStringConvertible)?) -> [String] { value.map { [$0.description] } ?? [] }
    return switch key {
    case .data: [data]
    case .augment: one(augment)
    case .model: [model]
    case .order: orders
    case .steps: [String(steps)]
    case .evaluate: [evaluate]
    case .evaluationExamples: one(evaluationExamples)
    case .evaluationBatchSize: one(evaluationBatchSize)
    case .recalibrate: one(recalibrate)
    case .batchSize: sampler.hasPrefix("file:") ? [] : one(batchSize)
    case .learningRate: one(learningRate)
    case .optimizer: [optimizer]
    case .weightDecay: one(weightDecay)
    case .schedule: [schedule]
    case .warmUp: one(warmUp)
    case .scheduleIndex: [scheduleIndex.rawValue]
    case .sampler: [sampler]
    case .seed: one(seed)
    case .seeds: one(seedCount)
    case .average: averages.isEmpty ? ["none"] : averages
    case .initial: one(initial)
    case .lanes: one(lanes)
    case .kernelThreads: one(kernelThreads)
    case .checkpointEvery: one(checkpointEvery)
    case .memoryBudget: memoryBudget.map { [Self.size($0)] } ?? []
    case .diskBudget: diskBudget.map { [Self.size($0)] } ?? []
    case .checkpointChain: one(checkpointChain)
    case .checkpointLevel: one(checkpointLevel)
    case .tolerance: one(tolerance)
    case .costBudget: one(costBudget?.description)
    case .startPrecision: [startPrecision]
    }
  }

  /// Bytes as `byteCount(_:)` reads them, without loss.
  private static func size(_ bytes: Int) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] where bytes % (1 << shift) == 0 { return "\(bytes >> shift)\(unit)" }
    return String(bytes)
  }
}

extension RunSettings {
  /// What makes a run of this configuration.
  public init(_ configuration: RunConfiguration) throws {
    var settings = RunSettings()
    for (flag, value) in configuration.options() {
      switch flag {
      case CodingKeys.order.rawValue: settings.order = (settings.order ?? []) + [value]
      case CodingKeys.average.rawValue: settings.average = (settings.average ?? []) + [value]
      default: settings = try settings.with(flag, value)
      }
    }
    self = settings
  }
}
