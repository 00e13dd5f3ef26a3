import Datasets
import Formats
import Foundation
import Networks
import Replay
import Runs
import Tensors

/// Makes network problems from settings.
extension NetworkProblem {
  /// Reads the data set and the sampler's file of a configuration, and compiles its network.
  /// - Parameters:
  ///   - initial: The tensors that the configuration's `initial` names, if it is given.
  ///   - batches: The batches of a sampler `file:PATH`; nil to read them from the file.
  ///   - dataset: The configuration's data set if it has been read before.
  /// - Throws: `DatasetError`, `NetworkError` or `RunError`.
  public init(
    _ configuration: RunConfiguration, initial: InitialTensors? = nil, batches: ImportedBatches? = nil, dataset: Dataset? = nil
  ) throws {
    // Cheap checks come first, then what takes time to read.
    guard configuration.products == .builtin || configuration.kernelThreads == 1 else {
      throw RunError.usage(
        """
        `kernel-threads` is \(configuration.kernelThreads), but with `products` openblas each lane computes its products on one \
        thread; leave it out
        """)
    }
    let model = try ModelSpecification(configuration.model)
    let loss = try LossSpecification.loss(configuration.loss)
    let augmentation = try configuration.augment.map { try Augmentation($0) }
    let rule = UpdateRule(
      try configuration.updateRule, learningRate: configuration.learningRate, schedule: try configuration.learningRateSchedule)
    let imported = try batches ?? OrderFile.path(in: configuration.sampler).map { try ImportedBatches.read(path: $0) }
    let sampling: BatchSampler.Method =
      if let imported { .imported(imported) } else { configuration.sampler == "replacement" ? .replacement : .shuffle }

    let data = try dataset ?? Dataset.load(configuration.data, context: model.context, targets: loss.targetKind)
    var completed = configuration
    completed.data = data.name
    completed.batchSize = configuration.batchSize ?? imported?.batchSize ?? 0
    try self.init(
      try model.network(inputShape: data.exampleShape, outputs: data.outputCount), loss: loss, data: data,
      batchSize: completed.batchSize ?? 0, optimizer: rule, augmentation: augmentation, sampling: sampling,
      evaluation: Evaluation(
        exampleCount: configuration.evaluationExamples, batchSize: configuration.evaluationBatchSize,
        recalibrationBatches: configuration.recalibrate),
      initial: initial, startPrecision: configuration.startPrecision,
      activationPrecision: configuration.activationPrecision,
      products: Products(configuration.products, threads: configuration.kernelThreads),
      name: "\(configuration.model) on \(data.name)", kind: Self.kindOfSettings, settings: try completed.problemSettings)
  }

  /// The kind of problems that settings describe.
  public static let kindOfSettings = "network"

  /// Makes the problem of a stored run again.
  /// - Throws: `RunError.impossible` if settings do not describe its network, and errors of reading its data.
  init(_ contents: RunContents) throws {
    let configuration = try RunConfiguration(contents)
    try self.init(
      configuration,
      initial: try configuration.initial.map { _ in try InitialTensors(path: contents.folder.initialStatePath) },
      batches: contents.batches.map { ImportedBatches(indices: $0.indices, batchSize: $0.batchSize, path: $0.path) })
  }
}

extension RunConfiguration {
  /// The settings of the problem as a run's folder stores them: all except those of the workload and the budgets.
  var problemSettings: [String: JSONValue] {
    get throws {
      guard case .object(let all) = try JSONValue(encoding: self) else { return [:] }
      return all.filter { !Self.otherKeys.contains($0.key) }
    }
  }

  /// The keys of `WorkloadDescription` and `Budgets`.
  private static let otherKeys: Set = [
    "orders", "steps", "evaluate", "seed", "seedCount", "averages", "tolerance", "costBudget", "divergenceLimit", "lanes", "memoryBudget",
    "diskBudget", "checkpointEvery", "checkpointChain", "checkpointLevel",
  ]

  /// A stored run's settings, put together again; nil for a run whose problem no settings describe.
  /// - Parameters:
  ///   - description: what the run's folder says of it.
  ///   - path: the run's folder, for messages.
  /// - Throws: `RunError.damaged` for settings that can't be read.
  public init?(_ description: RunDescription, of path: String) throws {
    guard description.problem.kind == NetworkProblem.kindOfSettings else { return nil }
    self = try description.configuration(as: RunConfiguration.self, of: path)
  }

  fileprivate init(_ contents: RunContents) throws {
    guard let configuration = try RunConfiguration(contents.description, of: contents.folder.path) else {
      throw RunError.impossible(
        """
        \(contents.folder.path) is a run of \(contents.description.problem.name), whose code this command does not have: open it \
        with the program that made it, by Run.open(path, problem)
        """)
    }
    self = configuration
  }

  /// The workload of the configuration.
  /// - Parameter orderTexts: The contents of order files, by path. Files that are not among them are read.
  public func workload(orderTexts: [String: String] = [:]) throws -> Workload {
    var texts = orderTexts
    for order in self.orders {
      guard let path = OrderFile.path(in: ObservedOrder.parts(of: order).order), texts[path] == nil else { continue }
      texts[path] = try readOrderFile(path)
    }
    return try Workload(
      orders: self.orders.map { try ObservedOrder($0, texts: texts) }, steps: self.steps, observing: try evaluationSchedule, seeds: seeds,
      averages: self.averages, tolerance: self.tolerance, costBudget: self.costBudget,
      divergenceLimit: self.divergenceLimit, orderTexts: texts)
  }

  /// The limits on what the run may use.
  public var budgets: Budgets {
    Budgets(
      lanes: self.lanes, memory: self.memoryBudget, disk: self.diskBudget.map(ByteCount.bytes),
      checkpoints: CheckpointPolicy(
        every: self.checkpointEvery == 0 ? nil : self.checkpointEvery, chainLength: self.checkpointChain,
        level: self.checkpointLevel))
  }
}

/// Reads the text of an order file named by a user.
package func readOrderFile(_ path: String) throws -> String {
  let bytes = try InputFile.read(path, limit: 256 << 20, remedy: "Write consecutive batches as ranges, such as 1-60.")
  // A batch run of a single digit and its comma takes some 70 bytes of memory.
  guard SystemMemory.has(40 * bytes.count) else {
    throw DatasetError.impossible("\(path): its \(bytes.count) bytes can take 40 times as many of memory\(SystemMemory.note)")
  }
  return String(decoding: bytes, as: UTF8.self)
}
