import Datasets
import Foundation
import Networks
import Replay
import Formats
import Runs
import Tensors

/// All settings of a run, each declared once, in the order in which help shows them.
///
/// `RunSettings` and `RunConfiguration` have a property with the name of each property here: the given value or nil,
/// and the resulting value. To add a setting, add a property.
public struct SettingsTable: Sendable {
  public let data: Setting<String, String> = .text(
    "data", changesBits: true,
    help: "The data set: digits (the default), mnist:DIR, cifar10:DIR, text:FILE, …; see 'backtrail data list'.", usual: "",
    default: { _ in "digits" })

  /// The random changes of training images, as a specification; nil for none.
  public let augment: Setting<String, String?> = .optionalText(
    "augment", changesBits: true, help: "Random changes of training images: \(Augmentation.forms).", usual: "none",
    read: { _ = try Augmentation($0); return $0 })

  public let model: Setting<String, String> = .text(
    "model", changesBits: true, help: "The model: \(ModelSpecification.forms).", default: { _ in "mlp:128" })

  /// The loss that updates reduce, as a specification.
  public let loss: Setting<String, String> = .text(
    "loss", changesBits: true,
    help: """
      What an update makes small: cross-entropy[:SMOOTHING] of classes, or mse, huber[:δ] or binary-cross-entropy of numbers, such as \
      the target of a csv:FILE.
      """,
    default: { _ in usualLoss }, read: lossSpecification,
    // The default is not stored, so that documents stay the same as those of releases without this setting.
    stored: StoredForm(encoded: { $0 == usualLoss ? nil : $0 }, decoded: lossSpecification))

  /// The composition orders, as specifications, some with a schedule of their own after an @.
  public let orders: Setting<[String], [String]> = Setting(
    "order", storedAs: "orders", changesBits: false,
    help: """
      A composition order; repeat for several: \(CompositionOrder.forms); \(CompositionOrder.sampleForm) for K of \
      random-order; or tail:auto and splice:auto, which find a τ. With an @ \
      it gets a schedule of its own: tail:50@every:20.
      """,
    default: { _ in ["forward", "backward"] }, read: orderSpecifications, give: { $0 })

  /// N: the iterates 1 … N can be observed.
  public let steps: Setting<Int, Int> = .whole(
    "steps", 1...BatchRun.largestBatch, changesBits: true, help: "N: the orders' iterates 1 to N can be observed.", default: 1000)

  /// The schedule of observations, as a specification.
  public let evaluate: Setting<String, String> = .text(
    "evaluate", changesBits: false,
    help: """
      Which iterates are observed: every:K, log:K, at:1,5,10, or auto:ERROR, as many as it takes to know the curve of the test \
      loss to that mean error.
      """,
    usual: "20 of them, evenly spaced",
    default: { $0.costBudget == nil ? "every:\(max(1, $0.steps / 20))" : "auto:0" })

  /// The number of test examples in an observation; nil for all.
  public let evaluationExamples: Setting<Int, Int?> = .optionalWhole(
    "evaluation-examples", 1...Int(Int32.max), valueName: "count", changesBits: true,
    help: "Test examples an observation looks at, the same for all.", usual: "all")

  /// The number of test examples whose losses are added up before they go to the sum over all. It affects the last bits
  /// of mean losses and errors.
  public let evaluationBatchSize: Setting<Int, Int> = .whole(
    "evaluation-batch-size", 1...65_536, valueName: "count", changesBits: true,
    help: """
      The losses of so many of them are added up before they go to the sum over all, so it changes the last bits of losses. No more \
      than so many are evaluated at once unless that is faster in little memory; outputs have the same bits.
      """, default: 64)

  /// The loss above which an iterate has diverged; nil if only losses that are not finite show that.
  public let divergenceLimit: Setting<Double, Double?> = .optionalPositive(
    "divergence-limit", valueName: "loss", changesBits: false,
    help: """
      A test loss above this counts as diverged, as one does that is not finite: the iterate has no values then, and what would \
      come of its state is not computed.
      """, usual: "none", allowed: "a positive loss, such as 100")

  /// The change of the loss below which doubling the τ of `tail:auto` or `splice:auto` ends the search.
  public let tolerance: Setting<Double, Double> = .positive(
    "tolerance", changesBits: false, help: "For tail:auto and splice:auto: how much doubling τ may still change the test loss.",
    allowed: "a positive change of the test loss, such as 0.005", default: 0.005)

  /// The most the run may cost; nil for no limit.
  public let costBudget: Setting<String, CostBudget?> = Setting(
    "cost-budget", valueName: "cost", changesBits: false,
    help: """
      What the run may cost: a time such as 90s, 5m or 2h, or a number of gradient evaluations. Exact backward is then observed \
      where that tells most for its cost.
      """,
    usual: "any", default: { _ in nil }, read: { try CostBudget($0) }, give: { $0?.description },
    // The stored form includes the updates that the budget was converted to when the run was made.
    stored: StoredForm(encoded: { $0 }, decoded: { $0 }))

  /// The number of examples per batch. Nil, until the sampler's file is read, for as many as its lines contain.
  public let batchSize: Setting<Int, Int?> = .optionalWhole(
    "batch-size", 1...1_000_000, changesBits: true, help: "Examples a batch.",
    usual: "32; with a file:PATH sampler what its lines hold",
    default: { OrderFile.path(in: $0.sampler) == nil ? 32 : nil }, isImplied: { OrderFile.path(in: $0.sampler) != nil })

  public let learningRate: Setting<Double, Double> = .positive(
    "learning-rate", changesBits: true, help: "η.", allowed: "a positive number", default: 0.05,
    isAllowed: { Float($0).isFinite })

  /// The optimizer, as a specification.
  public let optimizer: Setting<String, String> = .text(
    "optimizer", changesBits: true, help: "The rule of an update: \(Optimizer.forms).", default: { _ in "sgd" })

  public let weightDecay: Setting<String, String?> = .optionalText(
    "weight-decay", changesBits: true, help: "λ: L2 decay, for adamw decoupled; or decoupled:λ for any optimizer.",
    usual: "0, for adamw 0.01")

  /// How the numbers of the optimizer's slots lie in the training state.
  public let optimizerPrecision: Setting<String, SlotPrecision> = .choice(
    "optimizer-precision", changesBits: true,
    help: """
      What the optimizer's slots are kept in: float32, or 8bit, a byte for each number and a scale for every 256, which is a quarter \
      of the memory and of the disk, and rounds them after each update.
      """,
    default: .float32, name: { $0.description }, isNew: true, isSwept: true)

  /// The learning-rate schedule, as a specification.
  public let schedule: Setting<String, String> = .text(
    "schedule", changesBits: true, help: "How the learning rate changes over the N steps: \(LearningRateSchedule.forms).",
    default: { _ in "constant" })

  /// The number of updates over which the learning rate rises linearly to its full value.
  public let warmUp: Setting<Int, Int> = .whole(
    "warm-up", 0...BatchRun.largestBatch, changesBits: true, help: "So many updates rise linearly to the learning rate.", default: 0)

  public let scheduleIndex: Setting<String, LearningRateSchedule.Index> = .choice(
    "schedule-index", changesBits: true,
    help: """
      What the schedule counts: position (updates the state has had) or batch (the batch's number, which keeps an update one map \
      wherever it is applied).
      """,
    default: .position, name: { $0.rawValue })

  /// The number of training batches over which running statistics are computed anew before an observation; 0 for
  /// those of the state.
  public let recalibrate: Setting<Int, Int> = .whole(
    "recalibrate", 0...1_000_000, changesBits: true,
    help: """
      Compute a normalisation's running statistics anew over the first K training batches before each observation; after reversed \
      batches the state's own mirror the last few dozen updates.
      """, usual: "0, the state's own", default: 0)

  /// The way batches are chosen, as a specification.
  public let sampler: Setting<String, String> = .text(
    "sampler", changesBits: true,
    help: """
      How batches are chosen: shuffle (a new permutation each epoch), replacement, or file:PATH (a batch of example indices a line).
      """,
    default: { _ in "shuffle" }, read: samplerSpecification)

  /// The first seed. A run with several seeds uses the following ones too.
  public let seed: Setting<Int, Int> = .whole(
    "seed", 0...Int.max - 1_000_000, changesBits: true, help: "Decides the initial state and the batches.", default: 0)

  public let seedCount: Setting<Int, Int> = .whole(
    "seeds", 1...10_000, storedAs: "seedCount", changesBits: false,
    help: "Repeat everything with K seeds, and show the spread between them.", default: 1)

  /// The running averages of forward's iterates.
  public let averages: Setting<[String], [AverageRule]> = Setting(
    "average", storedAs: "averages", changesBits: false,
    help: """
      A running average of forward iterates, observed with them at no gradient evaluations, though in the time of an observation; \
      repeat for several: \
      \(AverageRule.forms), or none, which saves their states. 'backtrail average' makes others of them afterwards.
      """,
    default: { _ in [.exponential(0.99), .polynomial(8)] }, read: averageRules,
    give: { $0.isEmpty ? ["none"] : $0.map(\.description) },
    stored: StoredForm(encoded: { $0.map(\.description) }, decoded: { try $0.isEmpty ? [] : averageRules($0) }))

  /// The origin of the initial state: a safetensors file, or RUN:ORDER:N for an iterate of another run; nil if it
  /// follows from the seed.
  public let initial: Setting<String, String?> = .optionalText(
    "initial", changesBits: true,
    help: """
      What to start from instead of the seed's state: a safetensors file in PyTorch's names and layouts, for GPT-2's weights also \
      Hugging Face's, or RUN:ORDER:N, an iterate of another run.
      """, usual: "")

  /// The precision that initial states are rounded to. With 16 bits they take half the memory between replays, but
  /// are different starts.
  public let startPrecision: Setting<String, CheckpointPrecision> = .choice(
    "start-precision", changesBits: true,
    help: """
      What initial states are rounded to: float32, bfloat16 or float16. Those of 16 bits take half the memory between replays, and \
      are other starts, so every bit after them is another.
      """,
    default: .float32, name: { $0.description }, isSwept: true)

  /// The precision in which activations wait for the backward pass.
  public let activationPrecision: Setting<String, ActivationPrecision> = .choice(
    "activation-precision", changesBits: true,
    help: """
      How an update keeps the outputs of its layers: float32, or bfloat16, which takes half the memory and rounds them to 8 \
      significant bits. Arithmetic and observations stay in float32.
      """,
    default: .float32, name: { $0.rawValue }, isNew: true, isSwept: true)

  public let lanes: Setting<Int, Int> = .whole(
    "lanes", 1...Budgets.mostLanes, changesBits: false, help: "Workers, at most; they change no bit.", usual: "the processor's cores",
    default: ProcessInfo.processInfo.activeProcessorCount,
    ladder: { _ in Set([1, ProcessInfo.processInfo.activeProcessorCount]).sorted() })

  /// What computes matrix products.
  public let products: Setting<String, ProductLibrary> = .choice(
    "products", changesBits: true,
    help: """
      What computes matrix products: builtin, or openblas, the system's OpenBLAS, on one thread a lane. That takes the products of dense \
      layers, attention and heads, of convolutions of 1 × 1 pixel at distance 1, and of those of 3 × 3 by Winograd's method; other \
      convolutions stay builtin. Batches then go through the network whole, `evaluation-batch-size` examples are evaluated at once but \
      no more than a batch has, and OpenBLAS's version and core are part of the numerics.
      """,
    default: .builtin, name: { $0.rawValue }, isNew: true)

  public let kernelThreads: Setting<Int, Int> = .whole(
    "kernel-threads", 1...1024, changesBits: false,
    help: "Threads that share each large matrix product of a lane; bits don't depend on them. 1 with `products` openblas.", default: 1)

  /// The number of updates on a path from one checkpoint to the next; 0 for no checkpoints.
  public let checkpointEvery: Setting<Int, Int> = .whole(
    "checkpoint-every", 0...BatchRun.largestBatch, changesBits: false,
    help: "Store the state every K updates of a path, so that an interrupted run repeats no more; 0 for never.", default: 1000,
    ladder: { measurement in [0] + Set([2, 5, 20].map { max(1, measurement.steps / $0) }).sorted(by: >) })

  /// The most memory the process may take, resident and as a container counts it; nil for no limit.
  public let memoryBudget: Setting<String, MemoryBudget?> = Setting(
    "memory-budget", valueName: "size", changesBits: false,
    help: """
      What the process may have resident, and be charged for in a container, such as 400MiB; or auto for what control groups, \
      Slurm and the machine's free memory allow. Lanes, and activations that are computed again instead of kept, are chosen to \
      take least time within it; they change no bit.
      """, usual: "any", allowed: "a size such as 500MiB or 2GiB, or auto", default: { _ in nil },
    read: { try memoryBudgetNamed($0) }, give: { $0?.description }, stored: StoredForm(encoded: { $0 }, decoded: { $0 }),
    ladder: { measurement in [1.2, 1, 0.85, 0.7].map { .bytes(measurement.part($0, of: measurement.peakBytes)) } })

  /// The largest total size of all checkpoints in bytes; nil for no limit.
  public let diskBudget: Setting<String, Int?> = .size(
    "disk-budget", help: "What all checkpoints may take, such as 500MiB; beyond it they are thinned out.",
    ladder: { measurement in [0.5, 0.25].map { measurement.part($0, of: measurement.storedBytes) } })

  /// The largest number of successive checkpoints of a path that are stored as differences to the one before.
  public let checkpointChain: Setting<Int, Int> = .whole(
    "checkpoint-chain", 0...100, changesBits: false,
    help: """
      How many checkpoints of a path may be stored as differences to the one before, in a row: smaller files, read one after the \
      other.
      """, default: 0, ladder: { _ in [0, 8] })

  /// The compression level of zstd for checkpoints.
  public let checkpointLevel: Setting<Int, Int> = .whole(
    "checkpoint-level", CheckpointOptions.levels, changesBits: false,
    help: "zstd's level for checkpoints, 1 to 19; higher ones gain little.", default: 1, ladder: { _ in [1, 9] })

  static let shared = SettingsTable()

  /// All settings in their order, collected from the properties so that none can be forgotten.
  static let all: [any AnySetting] = Mirror(reflecting: shared).children.compactMap { $0.value as? any AnySetting }

  static let byKey = Dictionary(all.map { ($0.key, $0) }) { first, _ in first }

  /// The descriptions of all settings for users, in the order of the table.
  public static var descriptions: [SettingDescription] { all.map(\.description) }
}

extension SettingsTable {
  /// Reads a memory budget in the form of the setting.
  /// - Throws: `RunError.usage` if the text is neither a size nor `auto`.
  public static func memoryBudget(_ text: String) throws -> MemoryBudget { try memoryBudgetNamed(text) }
}
