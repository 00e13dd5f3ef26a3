import Datasets
import Formats
import Foundation
import Networks
import Replay
import Storage
import Tensors

/// A run, complete: with the numerics fingerprint it decides every bit of every iterate, whatever `lanes` is.
public struct RunConfiguration: Codable, Equatable, Sendable {
  /// Data set and model, as specifications.
  public var data: String
  /// How training images change at random, as a specification; nil for not at all.
  public var augment: String?
  public var model: String
  /// Composition orders, as specifications, each with a schedule of its own after an @ or without.
  public var orders: [String]
  /// N: iterates 1 … N can be observed.
  public var steps: Int
  public var evaluate: String
  /// How many test examples an observation looks at; nil for all.
  public var evaluationExamples: Int?
  /// How many of them at once. Part of the mathematics: products of other shapes round differently.
  public var evaluationBatchSize: Int
  /// Over so many training batches running statistics are computed anew before an observation; 0 for those of the
  /// state.
  public var recalibrate: Int
  /// Nil, before the sampler's file is read, for as many examples as its lines hold.
  public var batchSize: Int?
  public var learningRate: Double
  /// As specifications.
  public var optimizer: String
  public var weightDecay: String?
  public var schedule: String
  /// So many updates rise linearly to the learning rate.
  public var warmUp: Int
  public var scheduleIndex: LearningRateSchedule.Index
  /// The N the schedule is for: that of the run when it was made, whatever it is extended to.
  public var scheduleSteps: Int
  public var sampler: String
  /// The first seed; a run with several uses those that follow.
  public var seed: Int
  public var seedCount: Int
  /// The running averages of forward iterates, as specifications.
  public var averages: [String]
  /// Where the initial state comes from: a safetensors file, or RUN:ORDER:N for an iterate of another run; nil where
  /// the seed makes it.
  public var initial: String?
  public var lanes: Int
  public var kernelThreads: Int
  /// Every so many updates of a path its state is stored; 0 for never.
  public var checkpointEvery: Int
  /// Bytes the process may have resident; nil for any number.
  public var memoryBudget: Int?
  /// Bytes all checkpoints may take; nil for any number.
  public var diskBudget: Int?
  /// How many checkpoints of a path may be differences to the one before, in a row.
  public var checkpointChain: Int
  /// zstd's level for checkpoints.
  public var checkpointLevel: Int
  /// How much doubling the τ of `tail:auto` or `splice:auto` may still change the test loss.
  public var tolerance: Double
  /// What the run may cost; nil for any.
  public var costBudget: CostBudget?
  /// What the floats of initial states are rounded to: `float32`, `bfloat16` or `float16`. Those of 16 bits take half the memory
  /// between replays, and are other starts.
  public var startPrecision: String

  public var seeds: Range<Int> { seed..<seed + seedCount }

  /// Checks every setting that can be checked without reading a file, and fills in what was not said.
  /// - Throws: `RunError.usage` naming the flag.
  public init(_ settings: RunSettings) throws(RunError) {
    func whole(_ flag: String, _ value: Int?, default fallback: Int, in range: ClosedRange<Int>) throws(RunError) -> Int {
      let value = value ?? fallback
      guard range.contains(value) else {
        throw .usage("--\(flag) is \(value), but must be a whole number from \(range.lowerBound) to \(range.upperBound)")
      }
      return value
    }
    func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }
    func absoluteFile(_ specification: String) -> String {
      filePath(in: specification).map { "file:" + absolute($0) } ?? specification
    }
    data = settings.data ?? "digits"
    augment = settings.augment
    model = settings.model ?? "mlp:128"
    // Paths are kept absolute, so that a run can be replayed from any folder.
    let requests = (settings.order ?? ["forward", "backward"]).map { OrderRequest($0) }
    orders = requests.map { absoluteFile($0.order) + ($0.ownSchedule.map { "@\($0)" } ?? "") }
    steps = try whole("steps", settings.steps, default: 1000, in: 1...BatchRun.largestBatch)
    costBudget = try settings.costBudget.map { text throws(RunError) in try CostBudget(text) }
    evaluate = settings.evaluate ?? (costBudget == nil ? "every:\(max(1, steps / 20))" : "auto:0")
    evaluationExamples = try settings.evaluationExamples.map { count throws(RunError) in
      try whole("evaluation-examples", count, default: 0, in: 1...Int(Int32.max))
    }
    evaluationBatchSize = try whole("evaluation-batch-size", settings.evaluationBatchSize, default: 64, in: 1...65_536)
    recalibrate = try whole("recalibrate", settings.recalibrate, default: 0, in: 0...1_000_000)
    sampler = absoluteFile(settings.sampler ?? "shuffle")
    if settings.batchSize != nil || !sampler.hasPrefix("file:") {
      batchSize = try whole("batch-size", settings.batchSize, default: 32, in: 1...1_000_000)
    }
    learningRate = settings.learningRate ?? 0.05
    optimizer = settings.optimizer ?? "sgd"
    weightDecay = settings.weightDecay
    schedule = settings.schedule ?? "constant"
    warmUp = try whole("warm-up", settings.warmUp, default: 0, in: 0...BatchRun.largestBatch)
    guard let index = LearningRateSchedule.Index(rawValue: settings.scheduleIndex ?? "position") else {
      throw .usage("--schedule-index is '\(settings.scheduleIndex ?? "")', but must be position or batch")
    }
    scheduleIndex = index
    scheduleSteps = steps
    seed = try whole("seed", settings.seed, default: 0, in: 0...Int.max - 1_000_000)
    seedCount = try whole("seeds", settings.seeds, default: 1, in: 1...10_000)
    averages = try Self.averages(settings.average ?? ["exponential:0.99", "polynomial:8"])
    initial = settings.initial
    lanes = try whole(
      "lanes", settings.lanes, default: ProcessInfo.processInfo.activeProcessorCount, in: 1...1024)
    kernelThreads = try whole("kernel-threads", settings.kernelThreads, default: 1, in: 1...1024)

    checkpointEvery = try whole("checkpoint-every", settings.checkpointEvery, default: 1000, in: 0...BatchRun.largestBatch)
    checkpointChain = try whole("checkpoint-chain", settings.checkpointChain, default: 0, in: 0...100)
    checkpointLevel = try whole(
      "checkpoint-level", settings.checkpointLevel, default: 1, in: CheckpointOptions.levels)
    memoryBudget = try Self.bytes("memory-budget", settings.memoryBudget)
    diskBudget = try Self.bytes("disk-budget", settings.diskBudget)

    startPrecision = settings.startPrecision ?? CheckpointPrecision.float32.description
    guard CheckpointPrecision(name: startPrecision) != nil else {
      throw .usage("--start-precision is '\(startPrecision)', but must be float32, bfloat16 or float16")
    }
    tolerance = settings.tolerance ?? 0.005
    guard tolerance.isFinite, tolerance > 0 else {
      throw .usage("--tolerance is \(tolerance), but must be a positive change of the test loss, such as 0.005")
    }
    guard learningRate.isFinite, learningRate > 0, Float(learningRate).isFinite else {
      throw .usage("--learning-rate is \(learningRate), but must be a positive number")
    }
    guard !orders.isEmpty else { throw .usage("no composition order is given; add --order, such as --order backward") }
    let names = requests.map { absoluteFile($0.order) }
    if let twice = names.indices.first(where: { names[..<$0].contains(names[$0]) }) {
      throw .usage("--order \(names[twice]) is given twice; give it once")
    }
    if let empty = (requests.map(\.order) + [settings.sampler ?? ""]).first(where: { $0 == "file:" }) {
      throw .usage("'\(empty)' names no file; put its path after the colon")
    }
    do {
      for request in requests {
        if filePath(in: request.order) == nil, request.automaticFamily == nil { _ = try CompositionOrder(request.order) }
        if let schedule = request.ownSchedule { _ = try EvaluationSchedule(schedule).points(steps: steps) }
      }
      _ = try EvaluationSchedule(evaluate).points(steps: steps)
      _ = try augment.map { text throws(DatasetError) in try Augmentation(text) }
      _ = try Optimizer(optimizer, weightDecay: weightDecay)
      _ = try LearningRateSchedule(schedule, warmUp: warmUp, horizon: scheduleSteps, index: scheduleIndex)
    } catch {
      throw .usage("\(error)")
    }
    if let costBudget, !evaluate.hasPrefix("auto:") {
      throw .usage(
        """
        --cost-budget \(costBudget) decides which iterates are observed, so --evaluate \(evaluate) can't be given with it; \
        leave it out, or give auto:ERROR to stop earlier
        """)
    }
    guard ["shuffle", "replacement"].contains(sampler) || sampler.hasPrefix("file:") else {
      throw .usage("no sampler is called '\(sampler)'; there are shuffle, replacement and file:PATH")
    }
  }
}

extension RunConfiguration {
  /// Reads a stored configuration. What an older version did not know has its default, and everything is checked as settings
  /// that are given are.
  public init(from decoder: any Decoder) throws {
    let stored = try decoder.container(keyedBy: CodingKeys.self)
    var settings = RunSettings()
    settings.data = try stored.decodeIfPresent(String.self, forKey: .data)
    settings.augment = try stored.decodeIfPresent(String.self, forKey: .augment)
    settings.model = try stored.decodeIfPresent(String.self, forKey: .model)
    settings.order = try stored.decodeIfPresent([String].self, forKey: .orders)
    settings.steps = try stored.decodeIfPresent(Int.self, forKey: .steps)
    settings.evaluate = try stored.decodeIfPresent(String.self, forKey: .evaluate)
    settings.evaluationExamples = try stored.decodeIfPresent(Int.self, forKey: .evaluationExamples)
    settings.evaluationBatchSize = try stored.decodeIfPresent(Int.self, forKey: .evaluationBatchSize)
    settings.recalibrate = try stored.decodeIfPresent(Int.self, forKey: .recalibrate)
    settings.batchSize = try stored.decodeIfPresent(Int.self, forKey: .batchSize)
    settings.learningRate = try stored.decodeIfPresent(Double.self, forKey: .learningRate)
    settings.optimizer = try stored.decodeIfPresent(String.self, forKey: .optimizer)
    settings.weightDecay = try stored.decodeIfPresent(String.self, forKey: .weightDecay)
    settings.schedule = try stored.decodeIfPresent(String.self, forKey: .schedule)
    settings.warmUp = try stored.decodeIfPresent(Int.self, forKey: .warmUp)
    settings.scheduleIndex = try stored.decodeIfPresent(String.self, forKey: .scheduleIndex)
    settings.sampler = try stored.decodeIfPresent(String.self, forKey: .sampler)
    settings.seed = try stored.decodeIfPresent(Int.self, forKey: .seed)
    settings.seeds = try stored.decodeIfPresent(Int.self, forKey: .seedCount)
    settings.average = try stored.decodeIfPresent([String].self, forKey: .averages).map { $0.isEmpty ? ["none"] : $0 }
    settings.initial = try stored.decodeIfPresent(String.self, forKey: .initial)
    settings.lanes = try stored.decodeIfPresent(Int.self, forKey: .lanes)
    settings.kernelThreads = try stored.decodeIfPresent(Int.self, forKey: .kernelThreads)
    settings.checkpointEvery = try stored.decodeIfPresent(Int.self, forKey: .checkpointEvery)
    settings.memoryBudget = try stored.decodeIfPresent(Int.self, forKey: .memoryBudget).map(String.init)
    settings.diskBudget = try stored.decodeIfPresent(Int.self, forKey: .diskBudget).map(String.init)
    settings.checkpointChain = try stored.decodeIfPresent(Int.self, forKey: .checkpointChain)
    settings.checkpointLevel = try stored.decodeIfPresent(Int.self, forKey: .checkpointLevel)
    settings.tolerance = try stored.decodeIfPresent(Double.self, forKey: .tolerance)
    settings.startPrecision = try stored.decodeIfPresent(String.self, forKey: .startPrecision)
    let budget = try stored.decodeIfPresent(CostBudget.self, forKey: .costBudget)
    settings.costBudget = budget?.description
    try self.init(settings)
    costBudget = budget
    guard let scheduleSteps = try stored.decodeIfPresent(Int.self, forKey: .scheduleSteps) else { return }
    guard (1...BatchRun.largestBatch).contains(scheduleSteps) else {
      throw RunError.damaged("the schedule is for \(scheduleSteps) steps, but a run has from 1 to \(BatchRun.largestBatch)")
    }
    self.scheduleSteps = scheduleSteps
  }

  /// Running averages as flags give them, in their own words.
  private static func averages(_ texts: [String]) throws(RunError) -> [String] {
    if texts == ["none"] { return [] }
    var names: [String] = []
    for text in texts {
      guard text != "none" else { throw .usage("--average none can't be given with other averages; leave out one or the other") }
      do throws(AverageError) {
        names.append(try AverageRule(text).description)
      } catch {
        throw .usage("--average: \(error), none")
      }
      if names.dropLast().contains(names[names.count - 1]) { throw .usage("--average \(text) is given twice; give it once") }
    }
    return names
  }

  /// A budget as a flag gives it, in bytes.
  static func bytes(_ flag: String, _ text: String?) throws(RunError) -> Int? {
    guard let text else { return nil }
    guard let bytes = byteCount(text), bytes > 0 else {
      throw .usage("--\(flag) is '\(text)', but must be a size such as 500MiB or 2GiB")
    }
    return bytes
  }
}

/// Reads a size such as `500MiB`, `2GiB`, `64KiB` or a plain number of bytes.
func byteCount(_ text: String) -> Int? {
  let units = ["KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40]
  let unit = units.first { text.hasSuffix($0.key) }
  guard let number = Double(text.dropLast(unit?.key.count ?? 0)), number >= 0, number < 1e6 || unit == nil else {
    return nil
  }
  return Int(exactly: (number * Double(1 << (unit?.value ?? 0))).rounded())
}

/// What can be wrong with a run as a whole.
public enum RunError: Error, Equatable, CustomStringConvertible {
  /// A flag or key that can't be understood.
  case usage(String)
  /// Settings that are fine one by one but can't be met.
  case impossible(String)
  /// A file that was given is not there.
  case missing(String)
  /// A file is there but is not what it was, or not what it should be.
  case damaged(String)
  /// Stopped by a signal, with all lanes' states stored.
  case interrupted(run: String)
  /// A loss that is no number.
  case diverged(order: String, seed: Int, n: Int)

  public var description: String {
    switch self {
    case .usage(let text), .impossible(let text), .missing(let text), .damaged(let text): text
    case .interrupted(let run): "interrupted; go on with 'backtrail resume \(run)'"
    case .diverged(let order, let seed, let n):
      """
      the test loss of \(order) at iterate \(n) (seed \(seed)) is not finite: the updates diverge; what was observed \
      before is kept; try a smaller --learning-rate
      """
    }
  }
}
