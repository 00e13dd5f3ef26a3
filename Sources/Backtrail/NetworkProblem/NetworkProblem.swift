import Datasets
import Formats
import Networks
import Replay
import Runs
import Tensors

/// A network that is trained on a data set, as a training problem: T_j is one step of an optimizer for the mean loss of batch j.
///
///     let network = Network(input: [8, 8, 1]) { Dense(32); ReLU(); Dense(10) }
///     let problem = try NetworkProblem(
///       network, loss: CrossEntropy(), data: .load("digits"), batchSize: 32, optimizer: .adamW(learningRate: 1e-3))
public struct NetworkProblem: TrainingProblem {
  /// How iterates are measured.
  public struct Evaluation: Sendable {
    /// What is measured; nil for the loss and what that brings with it.
    public var measures: [any Measure]?
    /// How many test examples an observation looks at, the same for all; nil for every one.
    public var exampleCount: Int?
    /// How many of them at once. Part of the mathematics: products of other shapes round differently.
    public var batchSize: Int
    /// Over so many training batches running statistics are computed anew before an observation; 0 for those of the state.
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
  public let metrics: [Metric]
  public let dataset: Dataset
  public let startPrecision: CheckpointPrecision
  /// The network, compiled for training.
  public internal(set) var network: CompiledNetwork
  let evaluator: Evaluator
  /// That of seed 0.
  private let sampler: BatchSampler
  private let rule: UpdateRule
  private let augmentation: Augmentation?
  /// The initial state's tensors; nil where the seed makes it.
  let initial: [NamedTensor]?
  /// Where those came from, for messages.
  private let initialOrigin: String

  /// - Parameters:
  ///   - network: what is trained; its input has the shape of the data's examples.
  ///   - loss: what an update makes small.
  ///   - data: its targets are of the kind and shape that the loss compares the network's output with.
  ///   - batchSize: examples a batch.
  ///   - rule: the rule of an update, with its learning rate.
  ///   - augmentation: how training images change at random; nil for not at all.
  ///   - sampling: which examples batch j holds.
  ///   - evaluation: how iterates are measured.
  ///   - initial: the initial state's tensors, under the layout's names; nil where the seed makes it.
  ///   - initialOrigin: where `initial` came from, for messages.
  ///   - startPrecision: what the floats of initial states are rounded to.
  ///   - kernelThreads: threads that share each large matrix product of a lane; bits don't depend on them.
  ///   - name: what listings call it; nil for a name made of the network's layers and the data.
  ///   - settings: what else readers of its runs should know.
  /// - Throws: `NetworkError` where network, loss and data do not go together, `DatasetError` where batches can't be had.
  public init(
    _ network: Network, loss: any Loss, data: Dataset, batchSize: Int = 32, optimizer rule: UpdateRule,
    augmentation: Augmentation? = nil, sampling: BatchSampler.Method = .shuffle, evaluation: Evaluation = Evaluation(),
    initial: [NamedTensor]? = nil, initialOrigin: String = "the initial state", startPrecision: CheckpointPrecision = .float32,
    kernelThreads: Int = 1, name: String? = nil, settings: [String: JSONValue]? = nil
  ) throws {
    // It checks the batch size before memory is laid out for it.
    sampler = try BatchSampler(method: sampling, seed: 0, exampleCount: data.training.count, batchSize: batchSize)
    let compiled = try CompiledNetwork(
      network, loss: loss, batchSize: batchSize, optimizer: rule.optimizer, kernelThreads: kernelThreads)
    try compiled.check(targetsOf: data)
    try augmentation?.check(exampleShape: data.exampleShape)
    guard rule.learningRate.isFinite, rule.learningRate > 0, Float(rule.learningRate).isFinite else {
      throw RunError.usage("`learning-rate` is \(rule.learningRate), but must be a positive number")
    }
    evaluator = try Evaluator(
      network: try CompiledNetwork(
        network, loss: loss, batchSize: evaluation.batchSize, isTrained: false, kernelThreads: kernelThreads),
      measures: evaluation.measures, examples: data.test, count: evaluation.exampleCount,
      recalibrationBatches: evaluation.recalibrationBatches)
    metrics = evaluator.measures.map {
      Metric($0.name, unit: $0.unit.isEmpty ? nil : $0.unit, isLessBetter: $0.isLessBetter, range: $0.range)
    }
    let layers = network.layers.map { String(describing: type(of: $0.layer)) }.joined(separator: ", ")
    self.name = name ?? "\(layers) on \(data.name)"
    self.settings = settings ?? [
      "layers": .text(layers), "loss": .text("\(loss)"), "dataset": .text(data.name), "batchSize": .whole(batchSize),
      "optimizer": .text("\(rule.optimizer)"), "learningRate": .number(rule.learningRate),
    ]
    self.network = compiled
    dataset = data
    self.rule = rule
    self.augmentation = augmentation
    self.initial = initial
    self.initialOrigin = initialOrigin
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
    var digests = InputDigests(data: dataset.fingerprint, initial: initial.map { Digest(ofTensors: $0) })
    if case .imported(let batches) = sampler.method { digests.batches = batches.fingerprint }
    return digests
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

  /// Which examples a batch holds.
  var sampling: BatchSampler.Method { sampler.method }

  public func map(seed: Int) -> NetworkUpdateMap {
    NetworkUpdateMap(
      network: network, examples: dataset.training, augmentation: augmentation, sampler: sampler.with(seed: UInt64(seed)),
      learningRate: rule.learningRate, schedule: rule.schedule, seed: seed, evaluator: evaluator)
  }

  public func writeInitialState(seed: Int, to state: inout StateBuffer) throws {
    guard let initial else { return layout.initialize(&state, seed: UInt64(seed)) }
    let named = Dictionary(initial.map { ($0.name, ($0.shape, $0.values)) }) { first, _ in first }
    try layout.load(named, from: initialOrigin, into: &state)
  }

  public func measure(
    _ state: borrowing TrainingState, seed: Int, workspace: inout NetworkUpdateMap.Workspace
  ) -> [Double] {
    map(seed: seed).evaluate(state.values, workspace: &workspace)
  }

  public func trainingLoss(
    batch: Int, seed: Int, of state: inout StateBuffer, workspace: inout NetworkUpdateMap.Workspace
  ) -> Double? {
    map(seed: seed).trainingLoss(batch: batch, of: &state, workspace: &workspace)
  }

  public func measurementSeconds(
    _ state: borrowing TrainingState, seed: Int, workspace: inout NetworkUpdateMap.Workspace, atMost seconds: Double
  ) -> Double {
    map(seed: seed).timeEvaluation(state.values, workspace: &workspace, atMost: seconds)
  }

  public func writeFiles(into folder: RunFolder) throws {
    if let initial { try Safetensors.write(initial, metadata: [:], to: folder.initialStatePath) }
  }
}

// MARK: - Memory

extension NetworkProblem {
  public var residentBytes: Int { dataset.byteCount }

  public var workspaceBytes: Int { workspaceBytes(arenaCount: network.arenaCount) }

  /// - Parameter arenaCount: floats of an update's workspace.
  private func workspaceBytes(arenaCount: Int) -> Int {
    let recalibrated = evaluator.recalibrationBatches > 0 ? network.stateCount : 0
    return (max(arenaCount, evaluator.network.arenaCount) + recalibrated) * MemoryLayout<Float>.stride
  }

  /// An update takes a forward and a backward pass, some three times the arithmetic of an observed example.
  public var observationCost: Double {
    (Double(evaluator.count) / Double(batchSize) + Double(evaluator.recalibrationBatches)) / 3
  }

  public var stageCount: Int { network.stageCosts.count }

  /// Activations are kept, or computed again stage by stage: the fewest seconds for each amount of memory.
  public func memoryLevels(isMeasured: Bool) throws -> [MemoryLevel<NetworkProblem>] {
    let guessed = MemoryCurve(network)
    let curve = try isMeasured ? MemoryCurve(network, costs: measuredCosts(least: guessed.points.last?.schedule)) : guessed
    return curve.points.map { point in
      MemoryLevel(
        workspaceBytes: workspaceBytes(arenaCount: point.arenaCount), secondsPerUpdate: point.seconds,
        repeatedPasses: point.schedule.repeatedPasses
      ) { try rescheduled(point.schedule) }
    }
  }

  private func rescheduled(_ schedule: ActivationSchedule) throws(NetworkError) -> NetworkProblem {
    var copy = self
    copy.network = try network.rescheduled(schedule)
    return copy
  }

  /// The stages' times, measured in the least memory that an update takes.
  private func measuredCosts(least schedule: ActivationSchedule?) throws -> [StageCost] {
    guard let schedule else { return network.stageCosts }
    let map = try rescheduled(schedule).map(seed: 0)
    var state = try StateBuffer(count: map.stateCount)
    try writeInitialState(seed: 0, to: &state)
    var workspace = try map.makeWorkspace()
    return map.measuredCosts(&state, workspace: &workspace)
  }
}

extension BatchSampler.Method {
  /// The setting's value that gives it; nil for batches that are stored.
  var name: String {
    switch self {
    case .shuffle: "shuffle"
    case .replacement: "replacement"
    case .imported: "file"
    }
  }
}
