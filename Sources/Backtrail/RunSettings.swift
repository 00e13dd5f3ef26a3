/// What a user asks for, as given: flags of the command line or keys of a configuration file. Nil means not said.
public struct RunSettings: Codable, Equatable, Sendable {
  public var data: String?
  public var augment: String?
  public var model: String?
  public var order: [String]?
  public var steps: Int?
  public var evaluate: String?
  public var evaluationExamples: Int?
  public var evaluationBatchSize: Int?
  public var recalibrate: Int?
  public var batchSize: Int?
  public var learningRate: Double?
  public var optimizer: String?
  public var weightDecay: String?
  public var schedule: String?
  public var warmUp: Int?
  public var scheduleIndex: String?
  public var sampler: String?
  public var seed: Int?
  public var seeds: Int?
  public var average: [String]?
  public var initial: String?
  public var lanes: Int?
  public var kernelThreads: Int?
  public var checkpointEvery: Int?
  public var memoryBudget: String?
  public var diskBudget: String?
  public var checkpointChain: Int?
  public var checkpointLevel: Int?
  public var tolerance: Double?
  public var costBudget: String?
  public var startPrecision: String?

  public init() {}

  /// The keys of a configuration file: the flags without their dashes.
  public enum CodingKeys: String, CodingKey, CaseIterable {
    case data, augment, model, order, steps, evaluate
    case evaluationExamples = "evaluation-examples"
    case evaluationBatchSize = "evaluation-batch-size"
    case recalibrate
    case batchSize = "batch-size"
    case learningRate = "learning-rate"
    case optimizer
    case weightDecay = "weight-decay"
    case schedule
    case warmUp = "warm-up"
    case scheduleIndex = "schedule-index"
    case sampler, seed, seeds, average, initial, lanes
    case kernelThreads = "kernel-threads"
    case checkpointEvery = "checkpoint-every"
    case memoryBudget = "memory-budget"
    case diskBudget = "disk-budget"
    case checkpointChain = "checkpoint-chain"
    case checkpointLevel = "checkpoint-level"
    case tolerance
    case costBudget = "cost-budget"
    case startPrecision = "start-precision"
  }
}
