import Datasets
import Foundation
import Networks
import Replay
import Storage
import Tensors

/// A run with its folder: created once, trained until it is done, then read and replayed as often as wanted.
public struct TrainingRun: Sendable {
  public let folder: RunFolder
  public let experiment: Experiment
  /// The numerics the run was made with.
  public let fingerprint: String
  let database: RunDatabase

  /// Makes the folder of a new run. Nothing is trained yet.
  public static func create(_ experiment: Experiment, at path: String) throws -> TrainingRun {
    // What can be refused is refused before there is a folder.
    let experiment = try experiment.fitted().withinCostBudget()
    _ = try experiment.initialState(replica: 0)
    try experiment.checkDiskBudget()
    let folder = try RunFolder.create(at: path)
    let lock = try RunLock(folder)
    defer { lock.hold() }
    try folder.clear()
    do {
      if let tensors = experiment.initialTensors {
        try Safetensors.write(tensors, metadata: [:], to: folder.initialStatePath)
      }
      try folder.keepOrders(experiment.orderTexts, of: experiment.configuration)
      try RunJournal.write(experiment, in: folder)
      let record = RunRecord(
        configuration: try encodeJSON(StoredConfiguration(experiment)), fingerprint: NumericsFingerprint.current(),
        createdAt: Date())
      let database = try RunDatabase.create(in: folder, record: record)
      database.expect(experiment.configuration.bounds)
      return TrainingRun(
        folder: folder, experiment: experiment, fingerprint: record.fingerprint, database: database)
    } catch {
      // A folder that never became a run would be in the next one's way.
      folder.removeBeginnings()
      throw error
    }
  }

  /// Opens a run for more training or for replay: reads its data again and checks that it is what it was. Nothing in the
  /// folder is changed before it is trained or repaired, so that it may be read-only.
  /// - Parameters:
  ///   - steps: a new N, not below the run's; nil for the run's own.
  ///   - lanes: a new number of lanes; nil for the run's own.
  ///   - memoryBudget: a new budget, such as `400MiB`; nil for the run's own.
  ///   - allowNumericsChange: whether other numerics, and so other bits, are accepted.
  ///   - repairs: whether a damaged journal is no obstacle where its batches follow from seeds.
  public static func open(
    _ path: String, steps: Int? = nil, lanes: Int? = nil, memoryBudget: String? = nil,
    allowNumericsChange: Bool = false, repairs: Bool = false
  ) throws -> TrainingRun {
    let folder = try RunFolder.open(path)
    let database = try RunDatabase.open(folder)
    let record = try database.record()
    let stored = try StoredConfiguration(record, in: folder)
    database.expect(stored.bounds)
    var configuration = stored.configuration
    if let steps {
      guard (configuration.steps...BatchRun.largestBatch).contains(steps) else {
        throw RunError.usage("--steps is \(steps), but a run of \(configuration.steps) steps can't be made shorter")
      }
      guard steps == configuration.steps || configuration.costBudget == nil else {
        throw RunError.impossible(
          """
          \(path) was made for a --cost-budget of \(configuration.costBudget.map(\.description) ?? ""), which is spent on its \
          \(configuration.steps) steps; train a new run with more --steps instead
          """)
      }
      configuration.steps = steps
    }
    if let lanes {
      guard (1...1024).contains(lanes) else {
        throw RunError.usage("--lanes is \(lanes), but must be a whole number from 1 to 1024")
      }
      configuration.lanes = lanes
    }
    if let budget = try RunConfiguration.bytes("memory-budget", memoryBudget) { configuration.memoryBudget = budget }
    database.expect(configuration.bounds)
    let initial = try configuration.initial.map { _ in try Safetensors.read(path: folder.initialStatePath) }
    let batches: ImportedBatches?
    do {
      batches = try RunJournal.batches(in: folder)
    } catch StorageError.damaged where repairs && stored.inputs.batches == nil {
      batches = nil
    }
    // Before anything else complains of what the journal no longer holds.
    try stored.inputs.check(batches: batches, run: path)
    let experiment = try Experiment(
      configuration, initial: initial, batches: batches, orderTexts: try folder.orderTexts(of: configuration, stored.inputs))
    try stored.inputs.check(against: experiment.inputs, run: path)
    let current = NumericsFingerprint.current()
    guard NumericsFingerprint.isCurrent(record.fingerprint) || allowNumericsChange else {
      throw RunError.impossible(
        """
        \(path) was made with other numerics, so a replay here gives other bits; \
        accept that with --allow-numerics-change (there: \(record.fingerprint); here: \(current))
        """)
    }
    // A row that repairs remove is no obstacle to them.
    let observations = experiment.isAdaptive ? try database.observations(leavesOutBroken: repairs) : []
    return TrainingRun(
      folder: folder, experiment: experiment.adapted(to: observations).experiment, fingerprint: record.fingerprint,
      database: database)
  }

  /// Whether a replay here has the bits it had there.
  var hasSameNumerics: Bool { NumericsFingerprint.isCurrent(fingerprint) }

  /// The order that a series of the run's is called after.
  /// - Throws: `RunError.damaged` where it is none.
  func order(ofSeries series: String) throws(RunError) -> CompositionOrder {
    if let order = experiment.askedOrders.first(where: { $0.description == series }) { return order }
    guard filePath(in: series) == nil, let order = try? CompositionOrder(series) else {
      throw .damaged("\(folder.databasePath) names the order '\(series)', which the run does not have")
    }
    return order
  }

  /// What the run came to when it finished, without its iterates; nil before.
  public func result() throws -> RunResult? {
    try RunResult(database.record(), of: experiment.configuration, in: folder)
  }

  /// Where the seed stands among the run's.
  func replica(ofSeed seed: Int) throws(RunError) -> Int {
    let seeds = experiment.configuration.seeds
    guard seeds.contains(seed) else {
      throw .impossible(
        "\(folder.path) has no seed \(seed); name one from \(seeds.lowerBound) to \(seeds.upperBound - 1) with --seed")
    }
    return seed - seeds.lowerBound
  }

  /// The example indices of batch j, counted from 1, for one of the run's seeds.
  public func batch(_ j: Int, seed: Int) throws(RunError) -> [Int] {
    let sampler = experiment.maps[try replica(ofSeed: seed)].sampler
    if let count = sampler.batchCount, j > count {
      throw .impossible("\(experiment.configuration.sampler) holds \(count) batches, so there is no batch \(j)")
    }
    var indices = [Int](repeating: 0, count: sampler.batchSize)
    sampler.fill(&indices, batch: j)
    return indices
  }
}
