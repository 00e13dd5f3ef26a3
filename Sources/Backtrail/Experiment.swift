import Datasets
import Foundation
import Networks
import Replay
import Storage
import Tensors

/// A configuration with its data read and its network compiled: everything a replay needs.
public struct Experiment: Sendable {
  /// As given, with the batch size and the data set's full name filled in.
  public internal(set) var configuration: RunConfiguration
  public let dataset: Dataset
  /// Those observed, as far as it is known by now where an order or a schedule is automatic.
  public internal(set) var orders: [CompositionOrder]
  /// The observed n of each order, ascending.
  public internal(set) var points: [[Int]]
  /// An update map a seed.
  public internal(set) var maps: [NetworkUpdateMap]
  /// What the configuration's files held when it was read.
  public let inputs: InputDigests
  /// The running averages of forward iterates.
  public let averages: [AverageRule]
  /// What the configuration asks for; `orders` and `points` are what that comes to by now.
  let wishes: [ObservationWish]
  let evaluator: Evaluator
  /// What the process had taken when the data was read.
  let processBefore: ResidentMemory.Sizes
  /// What the memory budget led to; nil without one, and before `fitted()`.
  public internal(set) var memoryChoice: MemoryChoice?
  /// Whether initial states stay in memory.
  var keepsInitialStates = true
  /// How many branching states stay in memory; nil: all.
  var memorySlots: Int?
  /// Measured where there is a memory budget, which alone asks for them.
  var slotCosts = SlotCosts(step: 1)
  /// The initial state's tensors; nil where the seed makes it.
  let initialTensors: [NamedTensor]?
  /// What order files hold, by path.
  let orderTexts: [String: String]

  /// Where the network's own tensors lie in the training state.
  public var layout: StateLayout { maps[0].network.layout }
  var startPrecision: CheckpointPrecision { CheckpointPrecision(name: configuration.startPrecision) ?? .float32 }
  /// Length of the training state, in floats.
  public var stateCount: Int { maps[0].stateCount }
  public var batchSize: Int { maps[0].network.batchSize }
  public var stateBytes: Int { stateCount * MemoryLayout<Float>.stride }

  /// Reads the data set and the files that samplers and orders name.
  /// - Parameters:
  ///   - initial: what the configuration's `initial` names, if it names something.
  ///   - batches: the batches of a sampler `file:PATH`, where they need not be read from the file.
  ///   - dataset: the configuration's data, where it has been read before.
  ///   - orderTexts: what order files hold, by path, where they need not be read.
  /// - Throws: `DatasetError`, `NetworkError`, `OrderError` or `RunError`.
  public init(
    _ configuration: RunConfiguration, initial: [NamedTensor]? = nil, batches: ImportedBatches? = nil, dataset: Dataset? = nil,
    orderTexts: [String: String] = [:]
  ) throws {
    // First what can be refused at once, then what takes time to read.
    let model = try ModelSpecification(configuration.model)
    let requests = configuration.orders.map { OrderRequest($0, otherwise: configuration.evaluate) }
    var texts = orderTexts
    for case let path? in requests.map({ filePath(in: $0.order) }) where texts[path] == nil {
      texts[path] = String(decoding: try readOrderFile(path), as: UTF8.self)
    }
    self.orderTexts = texts
    wishes = try requests.map { try ObservationWish($0, steps: configuration.steps, orderTexts: texts) }
    (orders, points) = ([], [])
    averages = try configuration.averages.map { try AverageRule($0) }
    initialTensors = initial
    let imported = try batches ?? filePath(in: configuration.sampler).map { try ImportedBatches.read(path: $0) }
    let method: BatchSampler.Method =
      if let imported { .imported(imported) } else { configuration.sampler == "replacement" ? .replacement : .shuffle }
    let files = texts.mapValues { Digest(of: Array($0.utf8).span.bytes) }

    let dataset = try dataset ?? Dataset.load(configuration.data, context: model.context)
    self.dataset = dataset
    inputs = InputDigests(
      data: dataset.fingerprint, initial: initial.map { Digest(of: $0) }, batches: imported?.fingerprint,
      files: files)
    let batchSize = configuration.batchSize ?? imported?.batchSize ?? 0
    var completed = configuration
    completed.data = dataset.name
    completed.batchSize = batchSize
    self.configuration = completed

    // The samplers check the batch size before memory is laid out for it.
    let samplers = try configuration.seeds.map {
      try BatchSampler(
        method: method, seed: UInt64($0), exampleCount: dataset.training.count, batchSize: batchSize)
    }
    let description = try model.network(inputShape: dataset.exampleShape, outputs: dataset.outputCount)
    let network = try CompiledNetwork(
      description, loss: CrossEntropy(), batchSize: batchSize,
      optimizer: try Optimizer(configuration.optimizer, weightDecay: configuration.weightDecay),
      kernelThreads: configuration.kernelThreads)
    try network.check(targetsOf: dataset)
    let augmentation = try configuration.augment.map { try Augmentation($0) }
    try augmentation?.check(exampleShape: dataset.exampleShape)
    let schedule = try LearningRateSchedule(
      configuration.schedule, warmUp: configuration.warmUp, horizon: configuration.scheduleSteps,
      index: configuration.scheduleIndex)
    let evaluator = try Evaluator(
      network: try CompiledNetwork(
        description, loss: CrossEntropy(), batchSize: configuration.evaluationBatchSize, isTrained: false,
        kernelThreads: configuration.kernelThreads),
      examples: dataset.test, count: configuration.evaluationExamples, recalibrationBatches: configuration.recalibrate)
    self.evaluator = evaluator
    maps = zip(configuration.seeds, samplers).map { seed, sampler in
      NetworkUpdateMap(
        network: network, examples: dataset.training, augmentation: augmentation, sampler: sampler,
        learningRate: configuration.learningRate, schedule: schedule, seed: seed, evaluator: evaluator)
    }
    if configuration.recalibrate > 0 {
      guard network.layout.tensors.contains(where: { $0.role == .buffer }) else {
        throw RunError.impossible(
          "--recalibrate computes running statistics, but \(configuration.model) has none; leave it out")
      }
      if let count = maps[0].sampler.batchCount, count < configuration.recalibrate {
        throw RunError.impossible(
          "--recalibrate \(configuration.recalibrate) needs as many batches, but \(configuration.sampler) holds \(count)")
      }
    }
    processBefore = ResidentMemory.Sizes()
    // Before any of it is planned; an automatic schedule may come to any n.
    for case (.fixed(let order), let wish) in wishes.map({ ($0.order, $0) }) where order.lastIterate != nil {
      for n in wish.isAdaptive ? Array(1...min(configuration.steps, order.lastIterate.map { $0 + 1 } ?? 1)) : wish.points {
        _ = try sequence(of: order, n)
      }
    }
    let beginning = adapted(to: []).experiment
    (orders, points) = (beginning.orders, beginning.points)
    if maps[0].sampler.batchCount != nil {
      for (order, points) in zip(orders, points) {
        for n in points { _ = try sequence(of: order, n) }
      }
    }
  }

  /// Orders as they were asked for, those left out whose τ is looked for.
  var askedOrders: [CompositionOrder] {
    wishes.compactMap { wish in
      if case .fixed(let order) = wish.order { order } else { nil }
    }
  }

  /// The batch sequence of an iterate, checked against what order and sampler define.
  func sequence(of order: CompositionOrder, _ n: Int) throws(RunError) -> BatchSequence {
    if let last = order.lastIterate, n > last {
      throw .impossible(
        "\(order) has \(last) lines, an iterate each, so it has no iterate \(n); ask for fewer with --steps or --evaluate")
    }
    // As many as a run can have; far beyond, batch numbers would overflow.
    guard n <= BatchRun.largestBatch else {
      throw .impossible("there is no iterate \(n) of \(order): n is at most \(BatchRun.largestBatch)")
    }
    let sequence = order.sequence(n)
    if let count = maps[0].sampler.batchCount {
      // Only imported batches end.
      let last = sequence.largestBatch
      guard last <= count else {
        throw .impossible(
          "iterate \(n) of \(order) needs batch \(last), but \(configuration.sampler) holds \(count) batches")
      }
    }
    return sequence
  }

  /// The plan for all orders, points and seeds.
  /// - Parameter progress: what is there already, by seed; empty for nothing.
  /// - Throws: what `ReplayPlanner.plan()` throws.
  public func plan(_ progress: [ReplicaProgress] = []) throws -> ReplayPlan {
    var planner = ReplayPlanner(orders: orders, points: points)
    planner.replicas = progress.isEmpty ? Array(repeating: ReplicaProgress(), count: maps.count) : progress
    planner.lanes = configuration.lanes
    planner.averageCount = averages.count
    planner.observationCost = observationCost
    planner.memorySlots = memorySlots
    planner.slotCosts = slotCosts
    planner.checkpointInterval = configuration.checkpointEvery > 0 ? configuration.checkpointEvery : nil
    return try planner.plan()
  }

  /// - Throws: `RunError.impossible` when the budget has no room for what an interrupted run goes on from: a state a
  ///   lane, and forward's running averages.
  func checkDiskBudget() throws(RunError) {
    let least = (configuration.lanes + averages.count) * (stateBytes + (1 << 16))
    guard let budget = configuration.diskBudget, budget < least, configuration.checkpointEvery > 0 else { return }
    throw .impossible(
      """
      --disk-budget is \(budget) bytes, but \(configuration.lanes) lanes and \(averages.count) running \
      averages need \(least) to be resumable; give so much, use fewer lanes or --average none, or give up checkpoints \
      with --checkpoint-every 0
      """)
  }

  /// About what an observation costs, in updates: an update takes a forward and a backward pass, some three times the
  /// arithmetic of an observed example.
  public var observationCost: Double {
    (Double(evaluator.count) / Double(batchSize) + Double(configuration.recalibrate)) / 3
  }

  /// The initial state of the seed at `index` of the configuration's.
  public func initialState(replica index: Int) throws -> TrainingState {
    var values = try StateBuffer(count: stateCount)
    try writeInitialState(replica: index, to: &values)
    return TrainingState(values: values)
  }

  func writeInitialState(replica index: Int, to values: inout StateBuffer) throws {
    values.vector.fill(0)
    if let initialTensors {
      let named = Dictionary(initialTensors.map { ($0.name, ($0.shape, $0.values)) }) { first, _ in first }
      try layout.load(named, from: configuration.initial ?? "the initial state", into: &values)
    } else {
      layout.initialize(&values, seed: UInt64(maps[index].seed))
    }
    if startPrecision != .float32 {
      for position in 0..<values.count { values[position] = startPrecision.rounded(values[position]) }
    }
  }

  /// Where replays of all seeds start: from states in memory, or from ones made anew where the budget has no room.
  func replayStarts() throws -> [InitialState] {
    guard keepsInitialStates else {
      return maps.indices.map { replica in .made { try writeInitialState(replica: replica, to: &$0) } }
    }
    guard startPrecision != .float32 else {
      return try maps.indices.map { .kept(StoredState(try initialState(replica: $0))) }
    }
    let slots = try PackedSlots(
      count: maps.count, stateCount: stateCount, roundedCount: stateCount, precision: startPrecision)
    var state = TrainingState(values: try StateBuffer(count: stateCount))
    for replica in maps.indices {
      try writeInitialState(replica: replica, to: &state.values)
      slots.save(state, slot: replica)
    }
    return maps.indices.map { .slot(slots, $0) }
  }

  /// Of the initial states that replays start from.
  var keptStartBytes: Int {
    guard keepsInitialStates else { return 0 }
    return maps.count
      * (startPrecision == .float32 ? stateBytes : PackedSlots.bytesPerSlot(stateCount: stateCount, roundedCount: stateCount))
  }
}

/// The path in a specification `file:PATH`; nil for others.
func filePath(in specification: String) -> String? {
  specification.hasPrefix("file:") ? String(specification.dropFirst("file:".count)) : nil
}

extension CompositionOrder {
  /// Reads a specification, and for `file:PATH` the file too.
  /// - Parameter texts: what order files hold, by path, where they need not be read.
  public init(reading specification: String, texts: [String: String] = [:]) throws {
    if let path = filePath(in: specification) {
      let text = try texts[path] ?? String(decoding: try readOrderFile(path), as: UTF8.self)
      self = .listed(try ListedOrder(name: specification, text: text))
    } else {
      try self.init(specification)
    }
  }
}

/// The bytes of an order file.
func readOrderFile(_ path: String) throws(DatasetError) -> [UInt8] {
  let bytes = try InputFile.read(path, limit: 256 << 20, remedy: "Write consecutive batches as ranges, such as 1-60.")
  // A run of a single digit and its comma comes to some 70 bytes.
  guard SystemMemory.has(40 * bytes.count) else {
    throw .impossible("\(path): its \(bytes.count) bytes can take 40 times as many of memory\(SystemMemory.note)")
  }
  return bytes
}

/// Hashes of what a run was made from, so that a replay from changed files is noticed.
public struct InputDigests: Codable, Equatable, Sendable {
  public let data: Digest
  /// Of the initial state's tensors; nil where the seed makes it.
  public let initial: Digest?
  /// Of imported batches; nil where batches follow from seeds.
  public let batches: Digest?
  /// By path: order files.
  public let files: [String: Digest]

  /// - Throws: `RunError.damaged` where the journal's batches are not those the run was made with.
  func check(batches found: ImportedBatches?, run: String) throws(RunError) {
    guard found?.fingerprint != batches else { return }
    throw .damaged(
      """
      the batch journal, \(RunFolder(path: run).journalPath), does not hold the batches that \(run) was made with; bring back a \
      copy of it, or train anew
      """)
  }

  /// - Throws: `RunError.damaged` naming what is not as it was.
  func check(against current: InputDigests, run: String) throws(RunError) {
    var changed = files.keys.sorted().first { current.files[$0] != files[$0] }
    if current.initial != initial { changed = "the initial state, \(RunFolder(path: run).initialStatePath)," }
    if current.data != data { changed = "the data set" }
    if let changed {
      throw .damaged("\(changed) is not what it was when \(run) was made; bring it back, or train anew")
    }
  }
}

extension Digest {
  /// The digest of tensors: names, shapes and values.
  init(of tensors: [NamedTensor]) {
    var builder = DigestBuilder()
    for tensor in tensors {
      builder.add(tensor.name)
      builder.add(tensor.shape.count)
      for extent in tensor.shape { builder.add(extent) }
      builder.add(tensor.values.span.bytes)
    }
    self = builder.digest
  }
}
