import Datasets
import Networks
import Runs
import Tensors

/// A large network's times are measured on a sample of it: its stages without those that repeat, and where passes take long, with
/// fewer examples or shorter windows, from which times are extrapolated.
extension NetworkProblem {
  /// What the passes of stages take, in the order of stages, for a network that makes its logits whole.
  /// - Parameter folder: where the sample's state waits if the measurement's memory has no room for it.
  func measuredCosts(_ measurement: TimeMeasurement, in folder: String) throws -> [StageCost] {
    let sample = try StageSample(of: wholeNetwork)
    let others = sample.stageCount < stageCount ? " of \(stageCount) stages; the others are like them" : " stages"
    measurement.report("the passes of \(sample.stageCount)\(others)")
    let begin = ContinuousClock.now
    /// Sizes in multiply-adds with what was measured, from small to large.
    var measured: [(size: Double, costs: [StageCost], seconds: Double)] = []
    var size = Self.firstSize
    while true {
      let problem = try sampled(sample, size: size, in: folder) { bytes in
        measurement.memory.map { bytes <= $0 } ?? SystemMemory.has(bytes)
      }
      let costs = try problem.timedCosts()
      let seconds = costs.reduce(0) { $0 + $1.forwardSeconds + $1.backwardSeconds }
      measured.append((problem.network.multiplyAdds, costs, seconds))
      let last = measured[measured.count - 1]
      let before = measured.dropLast().last
      let left = Self.mostSeconds - (.now - begin) / .seconds(1)
      let slope = max(last.seconds - (before?.seconds ?? 0), last.seconds / 100) / (last.size - (before?.size ?? 0))
      size = min(sample.multiplyAdds, last.size + max(0, left - last.seconds) / slope)
      // A size that is hardly larger tells nothing new.
      guard last.size * 1.01 < sample.multiplyAdds, size > last.size * 1.5 else { break }
    }
    return sample.costs(measured[measured.count - 1].costs, beside: measured.count > 1 ? measured[measured.count - 2].costs : nil)
  }

  /// The multiply-adds of the first, small measurement: a fraction of a second on most machines.
  private static let firstSize = 1e10
  /// About how long the passes of stages are measured, in seconds.
  private static let mostSeconds = 3.0

  public func sample(ofUpdate seconds: Double) throws -> ProblemSample<NetworkProblem>? {
    guard seconds > Self.longUpdate, network.multiplyAdds > 0 else { return nil }
    let sample = try StageSample(of: wholeNetwork)
    let bytes = workspaceBytes + (paging?.residentBytes ?? network.stateCount * MemoryLayout<Float>.stride)
    let size = network.multiplyAdds * Self.sampleSeconds / seconds
    // The many rows of an embedding would take most of the memory, and say no more than fewer.
    let vocabulary = sample.vocabulary.map { min($0, Self.mostTokens) }
    let problem = try sampled(sample, size: size, vocabulary: vocabulary, isPaged: pages != nil, in: pages?.folder ?? "") { $0 <= bytes }
    let own = problem.network.multiplyAddsOfExample * Double(problem.evaluator.count)
    guard own > 0 else { return nil }
    return ProblemSample(
      problem, observationFactor: network.multiplyAddsOfExample * Double(evaluator.count) / own,
      // A forward pass is a third of an update.
      observationUpdates: Double(evaluator.recalibrationBatches) / 3)
  }

  /// Updates that take longer, in seconds, are measured by a sample.
  private static let longUpdate = 0.25
  /// About how long an update of the sample takes, in seconds.
  private static let sampleSeconds = 0.2
  /// The most tokens of a sample.
  private static let mostTokens = 4096

  /// The problem of a sample.
  /// - Parameters:
  ///   - size: the multiply-adds of an update, about.
  ///   - vocabulary: how many tokens there are in it, where its head is tied to an embedding; nil for as many as there are.
  ///   - isPaged: whether its state waits on disk even if there is room for it.
  ///   - folder: where its state waits if there is no room for it.
  ///   - hasRoom: whether there is room for so many bytes of a state and a workspace.
  private func sampled(
    _ sample: StageSample, size: Double, vocabulary: Int? = nil, isPaged: Bool = false, in folder: String, hasRoom: (Int) -> Bool
  ) throws -> NetworkProblem {
    let rows = sample.multiplyAdds > size ? size / sample.multiplyAdds * Double(batchSize) : Double(batchSize)
    let count = max(1, Int(rows))
    var (data, context) = (dataset, sample.context)
    if let whole = context, let classes = vocabulary ?? dataset.classCount, rows < 1 || vocabulary != nil {
      let shorter = min(whole, max(Self.leastContext, Int(rows * Double(whole))))
      (data, context) = (try Self.tokens(count: count, context: shorter, classes: classes), shorter)
    }
    let problem = try NetworkProblem(
      sample.network(context: context, vocabulary: vocabulary), loss: network.loss, data: data, batchSize: count, optimizer: rule,
      augmentation: augmentation,
      evaluation: Evaluation(
        measures: evaluator.measures, exampleCount: min(count, evaluator.network.batchSize, data.test.count),
        batchSize: min(count, evaluator.network.batchSize)),
      activationPrecision: network.activationPrecision, products: network.products)
    let stateBytes = problem.network.stateCount * MemoryLayout<Float>.stride
    guard isPaged || !hasRoom(problem.workspaceBytes + stateBytes) else { return problem }
    let levels = try problem.memoryLevels(measuring: nil, in: folder)
    let level = levels.first {
      (!isPaged || $0.memory.paging != nil) && hasRoom($0.memory.workspaceBytes + ($0.memory.paging?.residentBytes ?? stateBytes))
    }
    return try (level ?? levels[levels.count - 1]).problem()
  }

  /// With fewer tokens, passes are not like those of longer windows.
  private static let leastContext = 32

  /// Windows of made-up tokens.
  private static func tokens(count: Int, context: Int, classes: Int) throws -> Dataset {
    let numbers = (0..<count * context).map { Int32($0 &* 7919 % classes) }
    let examples = try Examples(
      floats: numbers.map(Float.init), exampleShape: [context], labels: numbers, classCount: classes, targetShape: [context])
    return try Dataset(name: "made-up tokens", training: examples, test: examples)
  }

  /// The times of the stages' passes, each of which runs, on a state like an initial one.
  private func timedCosts() throws -> [StageCost] {
    let map = map(seed: 0)
    var state = try map.makeState()
    try layout.fillForTrials(&state)
    var workspace = try map.makeWorkspace()
    return try map.measuredCosts(&state, workspace: &workspace)
  }
}
