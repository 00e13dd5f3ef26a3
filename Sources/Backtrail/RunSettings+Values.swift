extension RunSettings {
  /// What a setting holds.
  private enum Value {
    case text(WritableKeyPath<RunSettings, String?>)
    case texts(WritableKeyPath<RunSettings, [String]?>)
    case whole(WritableKeyPath<RunSettings, Int?>)
    case number(WritableKeyPath<RunSettings, Double?>)
  }

  /// Sets what a configuration file says, as it stands there: the setting's own kind decides how it is read, not its
  /// looks, so that `010` and `190:20` are never numbers of another base.
  /// - Returns: What would have been right, for a message; nil if it was.
  public mutating func set(_ key: CodingKeys, to texts: [String]) -> String? {
    switch Self.value(of: key) {
    case .texts(let path):
      self[keyPath: path] = texts
    case .text(let path):
      guard texts.count == 1 else { return "a single text" }
      self[keyPath: path] = texts[0]
    case .whole(let path):
      guard texts.count == 1, let number = Self.whole(texts[0]) else {
        return "a whole number in plain digits, without zeros before it, such as 10"
      }
      self[keyPath: path] = number
    case .number(let path):
      guard texts.count == 1, let number = Self.number(texts[0]) else { return "a number, such as 0.05 or 1e-3" }
      self[keyPath: path] = number
    }
    return nil
  }

  /// These settings, and `others` where these say nothing.
  public func completed(by others: RunSettings) -> RunSettings {
    var settings = self
    func complete<Setting>(_ path: WritableKeyPath<RunSettings, Setting?>) {
      settings[keyPath: path] = self[keyPath: path] ?? others[keyPath: path]
    }
    for key in CodingKeys.allCases {
      switch Self.value(of: key) {
      case .text(let path): complete(path)
      case .texts(let path): complete(path)
      case .whole(let path): complete(path)
      case .number(let path): complete(path)
      }
    }
    return settings
  }

  /// A leading zero means 8 as the base to some readers of YAML, and nothing to others.
  private static func whole(_ text: String) -> Int? {
    guard let number = Int(text), String(number) == text else { return nil }
    return number
  }

  private static func number(_ text: String) -> Double? {
    guard text.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }), let number = Double(text), number.isFinite,
      !text.drop(while: { $0 == "-" || $0 == "+" }).hasPrefix("0") || number.magnitude < 1
    else { return nil }
    return number
  }

  private static func value(of key: CodingKeys) -> Value {
    switch key {
    case .data: .text(\.data)
    case .augment: .text(\.augment)
    case .model: .text(\.model)
    case .order: .texts(\.order)
    case .steps: .whole(\.steps)
    case .evaluate: .text(\.evaluate)
    case .evaluationExamples: .whole(\.evaluationExamples)
    case .evaluationBatchSize: .whole(\.evaluationBatchSize)
    case .recalibrate: .whole(\.recalibrate)
    case .batchSize: .whole(\.batchSize)
    case .learningRate: .number(\.learningRate)
    case .optimizer: .text(\.optimizer)
    case .weightDecay: .text(\.weightDecay)
    case .schedule: .text(\.schedule)
    case .warmUp: .whole(\.warmUp)
    case .scheduleIndex: .text(\.scheduleIndex)
    case .sampler: .text(\.sampler)
    case .seed: .whole(\.seed)
    case .seeds: .whole(\.seeds)
    case .average: .texts(\.average)
    case .initial: .text(\.initial)
    case .lanes: .whole(\.lanes)
    case .kernelThreads: .whole(\.kernelThreads)
    case .checkpointEvery: .whole(\.checkpointEvery)
    case .memoryBudget: .text(\.memoryBudget)
    case .diskBudget: .text(\.diskBudget)
    case .checkpointChain: .whole(\.checkpointChain)
    case .checkpointLevel: .whole(\.checkpointLevel)
    case .tolerance: .number(\.tolerance)
    case .costBudget: .text(\.costBudget)
    case .startPrecision: .text(\.startPrecision)
    }
  }
}
