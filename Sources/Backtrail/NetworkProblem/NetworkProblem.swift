import Datasets
import Formats
import Networks
import Replay
import Runs
import Tensors

/// A network trained on a data set, as a training problem: T_j is one step of an optimizer for the mean loss of batch
/// j.
///
///     let network = Network(input: [8, 8, 1]) { Dense(32); ReLU(); Dense(10) }
///     let problem = try NetworkProblem(
///       network, loss: CrossEntropy(), data: .load("digits"), batchSize: 32, optimizer: .adamW(learningRate: 1e-3))
public struct NetworkProblem: TrainingProblem {
  /// The way iterates are measured.
  public struct Evaluation: Sendable {
    /// The measures; nil for the loss and the measures that accompany it.
    public var measures: [any Measure]?
    /// The number of test examples in an observation, the same examples for all iterates; nil for all of them.
    public var exampleCount: Int?

    /// The largest `batchSize`.
    public static let largestBatch = 65_536

    /// The number of examples whose losses are added up before they go to the sum over all. It affects the last bits of
    /// mean losses and errors, and no others. How many examples are evaluated at once affects no bit: at most so many, or more where that
    /// is faster in little memory, and fewer where they would need more memory than an update or a budget has.
    public var batchSize: Int
    /// The number of training batches over which running statistics are computed anew before an observation; 0 for
    /// those of the state.
    public var recalibrationBatches: Int

    public init(
      measures: [any Measure]? = nil, exampleCount: Int? = nil, batchSize: Int = 64, recalibrationBatches: Int = 0
    ) {
      self.measures = measures
      self.exampleCount = exampleCount
      self.batchSize = batchSize
      self.recalibrationBatches = recalibrationBatches
    }
  }

  public let name: String
  public let settings: [String: JSONValue]
  public let kind: String
  public let metrics: [Metric]
  public let dataset: Dataset
  public let startPrecision: CheckpointPrecision
  /// The network, compiled for training.
  public internal(set) var network: CompiledNetwork
  /// Where its states wait; nil if they are in memory.
  var pages: StatePages?
  var evaluator: Evaluator
  /// The least arena of an evaluation, in floats: that of one example, or of as many as an evaluation must take at once.
  private let leastEvaluationArenaCount: Int
  /// The sampler of seed 0.
  private let sampler: BatchSampler
  let rule: UpdateRule
  let augmentation: Augmentation?
  /// The tensors of the initial state; nil if it follows from the seed.
  let initial: InitialTensors?

  /// - Parameters:
  ///   - data: A data set whose targets have the kind and shape that the loss compares with the network's output.
  ///   - rule: The optimizer with its learning rate.
  ///   - sampling: The way the examples of batch j are chosen.
  ///   - initial: The tensors of the initial state; nil if it follows from the seed.
  ///   - startPrecision: The precision that the floats of initial states are rounded to.
  ///   - activationPrecision: How updates keep the outputs of stages.
  ///   - products: What computes matrix products, and the number of threads that share each large one of a lane.
  ///   - name: The name in lists of runs; nil for a name composed of the network's layers and the data.
  ///   - kind: What makes the problem again from its settings.
  ///   - settings: Further settings that readers of its runs should know.
  /// - Throws: `NetworkError` if network, loss and data do not fit together, `DatasetError` if batches can't be made.
  public init(
    _ network: Network, loss: any Loss, data: Dataset, batchSize: Int = 32, optimizer rule: UpdateRule,
    augmentation: Augmentation? = nil, sampling: BatchSampler.Method = .shuffle, evaluation: Evaluation = Evaluation(),
    initial: InitialTensors? = nil, startPrecision: CheckpointPrecision = .float32,
    activationPrecision: ActivationPrecision = .float32, products: Products = Products(), name: String? = nil,
    kind: String = "NetworkProblem", settings: [String: JSONValue]? = nil
  ) throws {
    // The sampler checks the batch size before memory is laid out for it.
    sampler = try BatchSampler(method: sampling, seed: 0, exampleCount: data.training.count, batchSize: batchSize)
    guard network.inputShape.reduce(1, *) == data.exampleShape.reduce(1, *) else {
      throw NetworkError.shape(
        "the network takes examples of shape \(network.inputShape), but those of \(data.name) have the shape \(data.exampleShape)")
    }
    guard (1...Evaluation.largestBatch).contains(evaluation.batchSize) else {
      throw RunError.usage(
        "`evaluation-batch-size` is \(evaluation.batchSize), but must be a whole number from 1 to \(Evaluation.largestBatch)")
    }
    let compiled = try CompiledNetwork(
      network, loss: loss, batchSize: batchSize, optimizer: rule.optimizer, activationPrecision: activationPrecision,
      products: products)
    try compiled.check(targetsOf: data, measures: evaluation.measures ?? [])
    try augmentation?.check(exampleShape: data.exampleShape)
    if case .step(let every, _) = rule.schedule.shape, every < 1 {
      throw RunError.usage("`schedule` lowers the rate every \(every) updates, but it must be every 1 or more")
    }
    guard rule.learningRate.isFinite, rule.learningRate > 0, Float(rule.learningRate).isFinite else {
      throw RunError.usage("`learning-rate` is \(rule.learningRate), but must be a positive number")
    }
    evaluator = try Evaluator(
      compiled, measures: evaluation.measures, examples: data.test, batchSize: evaluation.batchSize,
      count: evaluation.exampleCount, recalibrationBatches: evaluation.recalibrationBatches,
      arenaCount: compiled.arenaCount, isRoomy: true)
    leastEvaluationArenaCount = try evaluator.fitted(arenaCount: 0).network.arenaCount
    metrics = evaluator.measures.map {
      Metric($0.name, unit: $0.unit.isEmpty ? nil : $0.unit, isLessBetter: $0.isLessBetter, range: $0.range)
    }
    let layers = network.layers.map { String(describing: type(of: $0.layer)) }.joined(separator: ", ")
    self.name = name ?? "\(layers) on \(data.name)"
    self.settings = settings ?? [
      "layers": .text(layers), "loss": .text("\(loss)"), "dataset": .text(data.name), "batchSize": .whole(batchSize),
      "optimizer": .text("\(rule.optimizer)"), "learningRate": .number(rule.learningRate),
    ]
    self.kind = kind
    self.network = compiled
    dataset = data
    self.rule = rule
    self.augmentation = augmentation
    self.initial = initial
    self.startPrecision = startPrecision
    try checkRecalibration()
  }

  private func checkRecalibration() throws {
    let recalibrated = evaluator.recalibrationBatches
    guard recalibrated > 0 else { return }
    guard layout.tensors.contains(where: { $0.role == .buffer }) else {
      throw RunError.impossible("`recalibrate` computes running statistics, but \(name) has none; leave it out")
    }
    if let count = batchCount, count < recalibrated {
      throw RunError.impossible("`recalibrate` \(recalibrated) needs as many batches, but the `sampler` holds \(count)")
    }
  }

  public var batchSize: Int { network.batchSize }

  // MARK: TrainingProblem

  public var layout: StateLayout { network.layout }

  public var inputs: InputDigests {
    var digests = InputDigests(data: dataset.fingerprint, initial: initial?.digest)
    if case .imported(let batches) = sampler.method { digests.batches = batches.fingerprint }
    return digests
  }

  public var numerics: String? {
    switch network.products.library {
    case .builtin: nil
    // The level decides into which products Winograd's convolutions are cut.
    case .openBLAS: "\(OpenBLAS.identity) with \(SIMDLevel.current)"
    }
  }

  public var batchCount: Int? {
    sampler.batchCount
  }

  public var batches: BatchSource? {
    let method: BatchSource.Method = batchCount.map { .stored(count: $0) } ?? .seeded(sampler: sampler.method.name)
    return BatchSource(
      method: method, data: dataset.fingerprint, exampleCount: dataset.training.count, batchSize: batchSize
    ) { indices, batch, seed in
      sampler.with(seed: UInt64(seed)).fill(&indices, batch: batch)
    }
  }

  /// The way the examples of a batch are chosen.
  var sampling: BatchSampler.Method { sampler.method }

  public func map(seed: Int) -> NetworkUpdateMap {
    NetworkUpdateMap(
      network: network, examples: dataset.training, augmentation: augmentation, sampler: sampler.with(seed: UInt64(seed)),
      learningRate: rule.learningRate, schedule: rule.schedule, seed: seed, evaluator: evaluator, pages: pages)
  }

  public func writeInitialState(seed: Int, to state: inout StateBuffer) throws {
    guard let initial else { return try layout.initialize(&state, seed: UInt64(seed)) }
    try initial.write(to: &state, layout: layout)
  }

  public func writeTrialState(to state: inout StateBuffer) throws { try layout.fillForTrials(&state) }

  public func measure(
    _ state: borrowing TrainingState, seed: Int, workspace: inout NetworkUpdateMap.Workspace
  ) throws -> [Double] {
    try map(seed: seed).evaluate(state.values, workspace: &workspace)
  }

  public func trainingLoss(
    batch: Int, seed: Int, of state: inout StateBuffer, workspace: inout NetworkUpdateMap.Workspace
  ) throws -> Double? {
    try map(seed: seed).trainingLoss(batch: batch, of: &state, workspace: &workspace)
  }

  public func measurementSeconds(
    _ state: borrowing TrainingState, seed: Int, workspace: inout NetworkUpdateMap.Workspace, atMost seconds: Double
  ) throws -> Double {
    try map(seed: seed).timeEvaluation(state.values, workspace: &workspace, atMost: seconds)
  }

  public func writeFiles(into folder: RunFolder) throws {
    try initial?.writeFile(to: folder.initialStatePath)
  }
}

// MARK: - Memory

extension NetworkProblem {
  public var residentBytes: Int { dataset.byteCount }

  public var workspaceBytes: Int {
    workspaceBytes(network, arenaCount: max(network.arenaCount, evaluator.network.arenaCount), isPaged: pages != nil)
  }

  /// - Parameters:
  ///   - network: The network for updates.
  ///   - arenaCount: The length of its arena, or of that of evaluations, in floats.
  ///   - isPaged: Whether gradients wait on disk, as states do.
  func workspaceBytes(_ network: CompiledNetwork, arenaCount: Int, isPaged: Bool) -> Int {
    let recalibrated = evaluator.recalibrationBatches > 0 ? network.stateCount : 0
    let gradients = isPaged ? 0 : network.gradientCount
    let arena = max(arenaCount, leastEvaluationArenaCount)
    let ofLibrary =
      switch network.products.library {
      case .builtin: 0
      // Factors are parts of the arena and of tensors.
      case .openBLAS:
        OpenBLAS.bufferBytes(
          operands: (arena + (layout.tensors.map(\.region.count).max() ?? 0)) * MemoryLayout<Float>.stride)
      }
    return (arena + network.deferredCount + gradients + recalibrated) * MemoryLayout<Float>.stride + ofLibrary
  }

  public var wholeBatchReason: String? {
    if case .whole(let reason) = network.batchParts { reason } else { nil }
  }

  /// An update is a forward and a backward pass, about three times the arithmetic of evaluating an example.
  public var observationCost: Double {
    (Double(evaluator.count) / Double(batchSize) + Double(evaluator.recalibrationBatches)) / 3
  }

  public var stageCount: Int { network.graph.stages.count }
}

extension BatchSampler.Method {
  /// The method's value of the setting `sampler`; `file` for stored batches.
  var name: String {
    switch self {
    case .shuffle: "shuffle"
    case .replacement: "replacement"
    case .imported: "file"
    }
  }
}
