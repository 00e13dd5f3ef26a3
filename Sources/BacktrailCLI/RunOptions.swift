import ArgumentParser
import Backtrail
import Datasets
import Networks
import Replay

/// The options that describe a run, for `train` and `plan`.
struct RunOptions: ParsableArguments {
  @Option(help: "The data set: digits (the default), mnist:DIR, cifar10:DIR, text:FILE, …; see 'backtrail data list'.")
  var data: String?

  @Option(help: "Random changes of training images: \(Augmentation.forms). (default: none)")
  var augment: String?

  @Option(help: "The model: \(ModelSpecification.forms). (default: mlp:128)")
  var model: String?

  @Option(
    help: """
      A composition order; repeat for several: \(CompositionOrder.forms), or tail:auto and splice:auto, which \
      find a τ. With an @ it gets a schedule of its own: tail:50@every:20. (default: forward, backward)
      """)
  var order: [String] = []

  @Option(help: "N: the orders' iterates 1 to N can be observed. (default: 1000)")
  var steps: Int?

  @Option(
    help: """
      Which iterates are observed: every:K, log:K, at:1,5,10, or auto:ERROR, as many as it takes to know the curve of the \
      test loss to that mean error. (default: 20 of them, evenly spaced)
      """)
  var evaluate: String?

  @Option(help: "Test examples an observation looks at, the same for all. (default: all)")
  var evaluationExamples: Int?

  @Option(help: "How many of them at once; it changes the last bits of losses. (default: 64)")
  var evaluationBatchSize: Int?

  @Option(help: "For tail:auto and splice:auto: how much doubling τ may still change the test loss. (default: 0.005)")
  var tolerance: Double?

  @Option(
    help: """
      What the run may cost: a time such as 90s, 5m or 2h, or a number of gradient evaluations. Exact backward is then \
      observed where that tells most for its cost. (default: any)
      """)
  var costBudget: String?

  @Option(help: "Examples a batch. (default: 32; with a file:PATH sampler what its lines hold)")
  var batchSize: Int?

  @Option(help: "η. (default: 0.05)")
  var learningRate: Double?

  @Option(help: "The rule of an update: \(Optimizer.forms). (default: sgd)")
  var optimizer: String?

  @Option(help: "λ: L2 decay, for adamw decoupled; or decoupled:λ for any optimizer. (default: 0, for adamw 0.01)")
  var weightDecay: String?

  @Option(help: "How the learning rate changes over the N steps: \(LearningRateSchedule.forms). (default: constant)")
  var schedule: String?

  @Option(help: "So many updates rise linearly to the learning rate. (default: 0)")
  var warmUp: Int?

  @Option(
    help: """
      What the schedule counts: position (updates the state has had) or batch (the batch's number, which keeps an \
      update one map wherever it is applied). (default: position)
      """)
  var scheduleIndex: String?

  @Option(
    help: """
      Compute a normalisation's running statistics anew over the first K training batches before each observation; \
      after reversed batches the state's own mirror the last few dozen updates. (default: 0, the state's own)
      """)
  var recalibrate: Int?

  @Option(
    help: """
      How batches are chosen: shuffle (a new permutation each epoch), replacement, or file:PATH (a batch of \
      example indices a line). (default: shuffle)
      """)
  var sampler: String?

  @Option(help: "Decides the initial state and the batches. (default: 0)")
  var seed: Int?

  @Option(help: "Repeat everything with K seeds, and show the spread between them. (default: 1)")
  var seeds: Int?

  @Option(
    help: """
      A running average of forward iterates, observed with them at no gradient evaluations; repeat for several: \
      \(AverageRule.forms), or none, which saves their states. 'backtrail average' makes others of them afterwards. \
      (default: exponential:0.99, polynomial:8)
      """)
  var average: [String] = []

  @Option(
    help: """
      What to start from instead of the seed's state: a safetensors file in PyTorch's names and layouts, or \
      RUN:ORDER:N, an iterate of another run.
      """)
  var initial: String?

  @Option(
    help: """
      What initial states are rounded to: float32, bfloat16 or float16. Those of 16 bits take half the memory between replays, and \
      are other starts, so every bit after them is another. (default: float32)
      """)
  var startPrecision: String?

  @Option(help: "Workers, at most; they change no bit. (default: the processor's cores)")
  var lanes: Int?

  @Option(help: "Threads that share each large matrix product of a lane; bits don't depend on them. (default: 1)")
  var kernelThreads: Int?

  @Option(
    help: """
      Store the state every K updates of a path, so that an interrupted run repeats no more; 0 for never. \
      (default: 1000)
      """)
  var checkpointEvery: Int?

  @Option(
    help: """
      What the process may have resident, such as 400MiB: lanes, and activations that are computed again instead of \
      kept, are chosen to take least time within it; they change no bit. (default: any)
      """)
  var memoryBudget: String?

  @Option(help: "What all checkpoints may take, such as 500MiB; beyond it they are thinned out. (default: any)")
  var diskBudget: String?

  @Option(
    help: """
      How many checkpoints of a path may be stored as differences to the one before, in a row: smaller files, read one \
      after the other. (default: 0)
      """)
  var checkpointChain: Int?

  @Option(help: "zstd's level for checkpoints, 1 to 19; higher ones gain little. (default: 1)")
  var checkpointLevel: Int?

  @Option(help: "A YAML file with these options as keys, without the dashes; flags come before it.")
  var config: String?

  /// Flags, then the file, then the defaults.
  func configuration() throws -> RunConfiguration { try RunConfiguration(settings()) }

  /// Flags, then the file.
  func settings() throws -> RunSettings {
    var settings = RunSettings()
    settings.data = data
    settings.augment = augment
    settings.model = model
    settings.order = order.isEmpty ? nil : order
    settings.steps = steps
    settings.evaluate = evaluate
    settings.evaluationExamples = evaluationExamples
    settings.evaluationBatchSize = evaluationBatchSize
    settings.recalibrate = recalibrate
    settings.batchSize = batchSize
    settings.learningRate = learningRate
    settings.optimizer = optimizer
    settings.weightDecay = weightDecay
    settings.schedule = schedule
    settings.warmUp = warmUp
    settings.scheduleIndex = scheduleIndex
    settings.sampler = sampler
    settings.seed = seed
    settings.seeds = seeds
    settings.average = average.isEmpty ? nil : average
    settings.initial = initial
    settings.lanes = lanes
    settings.kernelThreads = kernelThreads
    settings.checkpointEvery = checkpointEvery
    settings.memoryBudget = memoryBudget
    settings.diskBudget = diskBudget
    settings.checkpointChain = checkpointChain
    settings.checkpointLevel = checkpointLevel
    settings.tolerance = tolerance
    settings.costBudget = costBudget
    settings.startPrecision = startPrecision
    if let config { settings = settings.completed(by: try RunSettings(configurationFile: config)) }
    return settings
  }
}
