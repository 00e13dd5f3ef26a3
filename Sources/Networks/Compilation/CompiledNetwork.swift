import Tensors

/// A network and its loss for batches up to one size, with all its memory laid out before the first pass.
///
/// A batch goes through it as a whole, or in parts, micro-batches, whose gradients are added up in the order of their examples: less
/// memory for activations, and the same bits.
public struct CompiledNetwork: Sendable {
  /// The network's own tensors, at the start of the training state; the same for every batch size.
  public let layout: StateLayout
  public let network: Network
  public let loss: any Loss
  public let batchSize: Int
  /// The examples of a micro-batch, for which all passes have memory; the last one may have fewer.
  public let microBatchSize: Int
  /// The micro-batches that give the bits of the whole batch.
  public let batchParts: BatchParts
  public let optimizer: Optimizer
  /// Where its slots lie in the training state.
  let slots: SlotLayout
  /// What computes products.
  public let products: Products
  /// Features of an example: the product of its shape.
  public let inputCount: Int
  /// The shape of one example's output. Its last extent counts the numbers of a prediction; the others, if there are any,
  /// the positions that have one each.
  public let outputShape: [Int]
  /// Predictions for one example: 1, or as many as it has positions.
  public let predictionCount: Int
  /// Numbers in a prediction: a logit for each class, or a value for each target.
  public let outputCount: Int
  /// How the outputs of stages are kept in updates.
  public let activationPrecision: ActivationPrecision
  private let isTrained: Bool
  let stages: [NetworkStage]
  /// What the stages' passes take, in memory; their times are only guessed.
  public let graph: StageGraph
  let program: NetworkProgram
  /// What each step of the program needs of the training state, in the last micro-batch and in those before it, and of the sums of
  /// gradients.
  let accesses: MicroBatchAccesses
  /// Tensors that layers read part by part.
  let inParts: [TensorInParts]
  /// Those among them that two layers share.
  let tied: [Region]
  /// The stage whose way back waits for the last micro-batch; nil where none does.
  let deferred: DeferredStage?
  /// How the last layer works without all of its logits; nil where it makes them all.
  let head: HeadInParts?

  /// - Parameters:
  ///   - network: its layers, in their order.
  ///   - loss: what updates make small and evaluations take.
  ///   - batchSize: examples a batch, from which all shapes follow.
  ///   - optimizer: the rule of an update, whose slots are part of the training state.
  ///   - isTrained: whether there will be updates and gradients; without, `evaluate` and `outputs` take a fraction of the
  ///     memory.
  ///   - schedule: the order of an update's passes, for less memory; nil to keep all activations.
  ///   - microBatchSize: how many examples go through the network together in an update, for less memory; nil for the whole batch.
  ///   - activationPrecision: how the outputs of stages are kept in updates. It changes bits.
  ///   - products: what computes products of matrices, on 1 thread or more.
  ///   - headPart: how many logits' worth of memory the last layer gets, where it is a `TiedHead` and the loss a `ClassLoss`; nil
  ///     for all logits at once.
  /// - Throws: `NetworkError.shape` where layers and inputs don't go together, or micro-batches of such a size would change
  ///   bits; `.ambiguous` where two tensors have one name; `.unavailable` where the system lacks the library that
  ///   is to compute products.
  public init(
    _ network: Network, loss: any Loss, batchSize: Int, optimizer: Optimizer = Optimizer(.sgd), isTrained: Bool = true,
    schedule: ActivationSchedule? = nil, microBatchSize: Int? = nil, activationPrecision: ActivationPrecision = .float32,
    products: Products = Products(), headPart: HeadPart? = nil
  ) throws(NetworkError) {
    let passSize = microBatchSize ?? batchSize
    guard !network.inputShape.isEmpty, let inputCount = Self.count(network.inputShape), inputCount > 0 else {
      throw .shape(
        "a network can't take examples of shape \(network.inputShape): it needs one extent or more, each of at least 1")
    }
    guard batchSize > 0, (1...batchSize).contains(passSize), products.threads > 0, !network.layers.isEmpty else {
      throw .shape(
        """
        a network needs 1 layer, 1 example a batch and 1 thread or more, not \(network.layers.count) layers, \(batchSize) \
        examples in parts of \(passSize) and \(products.threads) threads
        """)
    }
    if products.library == .openBLAS, let failure = OpenBLAS.failure {
      throw .unavailable(
        "`products` openblas needs the system's OpenBLAS, which can't be loaded: \(failure). Install it, or take `products` builtin")
    }
    var placed = NetworkStages(
      batchSize: passSize, isTrained: isTrained, holdsGradients: optimizer.rule != .sgd && passSize == batchSize)
    let shape = try placed.add(network.layers, from: NetworkStages.Activation(number: 0, shape: network.inputShape)).shape
    if let name = placed.builder.layout.repeatedName {
      throw .ambiguous("two tensors of the network are called '\(name)': give their layers different names with named(_:)")
    }
    guard let outputCount = shape.last, let predictions = Self.count(shape.dropLast()), predictions * outputCount > 0 else {
      throw .shape("the network ends with the shape \(shape), which holds no prediction")
    }
    self.network = network
    self.loss = loss
    self.isTrained = isTrained
    self.products = products
    layout = placed.builder.layout
    self.batchSize = batchSize
    self.microBatchSize = passSize
    self.optimizer = optimizer
    self.activationPrecision = activationPrecision
    slots = SlotLayout(layout, optimizer)
    stages = placed.stages
    inParts = placed.builder.inParts
    tied = inParts.filter(\.isTied).map(\.region)
    head = headPart.flatMap {
      HeadInParts(
        $0, last: placed.stages[placed.stages.count - 1], loss: loss, predictions: passSize * predictions,
        batchPredictions: batchSize * predictions)
    }
    graph = StageGraph(placed.graph).withLast(head?.cost).keeping(isTrained ? activationPrecision : .float32)
    let sharing = placed.stages.firstIndex { stage in
      placed.builder.inParts.contains { tensor in
        tensor.isTied && placed.builder.layout.tensors[stage.tensors].contains { $0.region == tensor.region }
      }
    }
    batchParts = Self.batchParts(stages, graph, sharing: sharing, products.library)
    if passSize < batchSize {
      switch batchParts {
      case .multiples(let unit) where passSize.isMultiple(of: unit): break
      case .multiples(let unit):
        throw .shape("micro-batches of \(passSize) examples would change bits: this network takes multiples of \(unit)")
      case .whole(let reason):
        throw .shape("a batch can't go through this network in micro-batches: \(reason)")
      }
    }
    deferred = sharing == nil || passSize == batchSize
      ? nil : DeferredStage(stages, inputCount: inputCount, layout: layout, inParts: inParts)
    self.inputCount = inputCount
    outputShape = shape
    predictionCount = predictions
    self.outputCount = outputCount
    let update = schedule ?? .keepingAll(stageCount: stages.count)
    program = NetworkProgram(graph, schedule: isTrained ? update : nil)
    accesses = MicroBatchAccesses(
      program.steps, stages: stages, layout: layout, inParts: inParts, slots: slots, isTraining: isTrained,
      deferred: deferred)
  }

  /// - Parameter sharing: the stage that owns a tensor which the last layer shares; nil where there is none.
  private static func batchParts(
    _ stages: [NetworkStage], _ graph: StageGraph, sharing: Int?, _ library: ProductLibrary
  ) -> BatchParts {
    guard library == .builtin else {
      return .whole(because: "products by OpenBLAS can have other bits for a part of a batch than for the whole of it")
    }
    if let sharing, !DeferredStage.isPossible(sharing, graph) {
      return .whole(because: "the layer whose tensor the last one shares is not the first, or keeps more than its input")
    }
    return stages.reduce(.any) { parts, stage in
      switch stage.work {
      case .layers(let layers): parts.and(layers.batchParts)
      case .sum: parts
      }
    }
  }

  /// The product of a shape's extents; nil where one is negative or it overflows.
  private static func count(_ shape: [Int]) -> Int? {
    var count = 1
    for extent in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !overflow else { return nil }
      count = product
    }
    return count
  }

  /// Targets of one example: those of all its predictions.
  public var targetCount: Int { predictionCount * loss.targetCount(outputs: outputCount) }

  /// The shape of one example's targets: its positions, and behind them how many targets each has, if not one.
  public var targetShape: [Int] {
    let count = loss.targetCount(outputs: outputCount)
    return Array(outputShape.dropLast()) + (count == 1 ? [] : [count])
  }

  /// Length of one workspace's arena, in floats.
  public var arenaCount: Int { program.arenaCount }

  /// The same network, trained in another order of passes. It gives the same bits.
  public func rescheduled(_ schedule: ActivationSchedule) throws(NetworkError) -> CompiledNetwork {
    try compiled(schedule: schedule, headPart: head?.part)
  }

  /// The same network, trained in micro-batches of another size, all of whose activations are kept. It gives the same bits.
  public func withMicroBatches(of size: Int) throws(NetworkError) -> CompiledNetwork {
    try compiled(headPart: head?.part, microBatchSize: size)
  }

  /// The same layers with other bits: for batches of another size, another optimizer or another precision of activations. All activations
  /// are kept.
  public func varied(
    batchSize size: Int? = nil, optimizer other: Optimizer? = nil, activationPrecision precision: ActivationPrecision? = nil
  ) throws(NetworkError) -> CompiledNetwork {
    try CompiledNetwork(
      network, loss: loss, batchSize: size ?? batchSize, optimizer: other ?? optimizer, isTrained: isTrained,
      activationPrecision: precision ?? activationPrecision, products: products)
  }

  /// - Parameter microBatchSize: nil for the one of this network.
  private func compiled(
    schedule: ActivationSchedule? = nil, headPart: HeadPart?, microBatchSize size: Int? = nil
  ) throws(NetworkError) -> CompiledNetwork {
    try CompiledNetwork(
      network, loss: loss, batchSize: batchSize, optimizer: optimizer, isTrained: isTrained, schedule: schedule,
      microBatchSize: size ?? microBatchSize, activationPrecision: activationPrecision, products: products, headPart: headPart)
  }

  /// The same network, with a last layer that makes all of its logits at once. It gives the same bits.
  public func withWholeHead() throws(NetworkError) -> CompiledNetwork {
    head == nil ? self : try compiled(headPart: nil)
  }

  /// The same network, with a last layer that works without all of its logits in memory; nil where the last layer can't. It gives
  /// the same bits.
  public func withHeadInParts() throws(NetworkError) -> CompiledNetwork? {
    let parted = try compiled(headPart: .classes)
    return parted.head == nil ? nil : parted
  }

  /// The same network for evaluations alone, of as many rows at once as fit in an arena, and 1 at least.
  ///
  /// Where outputs may have other bits with other rows beside them, as by OpenBLAS, the arena does not count: there are as many rows
  /// as wanted, but no more than in a batch of this network.
  /// - Parameters:
  ///   - rows: the most rows that are wanted, 1 or more.
  ///   - arenaCount: the length of the arena, in floats.
  public func forEvaluation(rows: Int, arenaCount: Int) throws(NetworkError) -> CompiledNetwork {
    func compiled(_ rows: Int, _ part: HeadPart? = nil) throws(NetworkError) -> CompiledNetwork {
      try CompiledNetwork(network, loss: loss, batchSize: rows, isTrained: false, products: products, headPart: part)
    }
    guard products.library == .builtin else {
      return try compiled(min(rows, batchSize), .predictions(HeadInParts.usualPredictions))
    }
    var best = try compiled(rows)
    guard best.arenaCount > arenaCount else { return best }
    best = try compiled(1)
    guard best.arenaCount <= arenaCount else {
      // Not even one example's outputs fit, so that those of some positions after the others have to do.
      var predictions = predictionCount
      while predictions > HeadInParts.leastPredictions {
        predictions = max(HeadInParts.leastPredictions, predictions / 2)
        best = try compiled(1, .predictions(predictions))
        if best.head == nil || best.arenaCount <= arenaCount { break }
      }
      return best
    }
    var tooMany = rows
    while tooMany - best.batchSize > 1 {
      let middle = try compiled((best.batchSize + tooMany) / 2)
      if middle.arenaCount > arenaCount { tooMany = middle.batchSize } else { best = middle }
    }
    return best
  }

  /// The `arenaCount` that there would be with another schedule, in floats.
  public func arenaCount(with schedule: ActivationSchedule) -> Int {
    NetworkProgram(graph, schedule: schedule).arenaCount
  }

  /// Length of the training state, in floats: the network's tensors, then the optimizer's slots.
  public var stateCount: Int { slots.stateCount }

  /// How many of the state's first floats are numbers. Those behind are slots in codes: their bits count, and not what they would be
  /// as floats.
  public var numberCount: Int { slots.numberCount }

  /// The micro-batches of a batch.
  public var microBatchCount: Int { (batchSize + microBatchSize - 1) / microBatchSize }

  /// The micro-batch at `index`, from 0.
  public func microBatch(_ index: Int) -> MicroBatch {
    MicroBatch(index, of: microBatchSize, batchSize: batchSize)
  }

  /// Everything a pass needs besides the state. Fill `inputs` and `targets` before a pass.
  public struct Workspace: ~Copyable, Sendable {
    var arena: FloatBuffer
    fileprivate var inputRegion: Region
    fileprivate var inputCount: Int
    /// The targets of each example in turn.
    public var targets: Targets
    /// The gradients of parameters that two layers share, between the backward passes of the two.
    var tiedGradients: FloatBuffer
    /// What has been added up of gradients in micro-batches before the present one; empty where the batch is whole.
    var gradientSums: FloatBuffer
    /// What the stage whose way back waits for the last micro-batch needs then; empty where none does.
    var deferred: FloatBuffer
    /// Of the logits of each prediction, where they are not all there at once.
    var statistics: [LogitStatistics]
    /// Those of a part of the predictions.
    var partTargets: Targets
    /// The sum of the losses of the examples in the passes of an update so far; nil where it is not wanted.
    var lossSum: Double?

    /// The inputs of the first `rows` examples, for writing: a matrix of `rows` × input features. It is valid while the workspace
    /// is, until another network takes it.
    public mutating func inputs(rows: Int) -> MutableMatrix {
      arena.mutableVector.part(inputRegion).matrix(rows: rows, columns: inputCount)
    }
  }

  /// Makes a workspace for passes of this network.
  /// - Parameters:
  ///   - other: a network that uses the same memory at other times, after `take`.
  ///   - folder: where states are paged, so that what is as large as their tensors is too; nil where they are in memory.
  /// - Throws: `TensorError.outOfMemory` when the system does not have the memory, `PagingError`.
  public func makeWorkspace(sharedWith other: CompiledNetwork? = nil, pagedIn folder: String? = nil) throws -> Workspace {
    let targets = max(batchSize * targetCount, other.map { $0.batchSize * $0.targetCount } ?? 0)
    func buffer(_ count: Int) throws -> FloatBuffer {
      guard let folder, count > 0 else { return try FloatBuffer(count: count) }
      return try FloatBuffer(count: count, pagedIn: folder)
    }
    return Workspace(
      arena: try FloatBuffer(count: max(arenaCount, other?.arenaCount ?? 0)), inputRegion: program.input,
      inputCount: inputCount, targets: Targets(loss.targetKind, count: targets),
      tiedGradients: try buffer(tiedGradientCount), gradientSums: try buffer(gradientSumCount),
      deferred: try FloatBuffer(count: deferredCount),
      statistics: Array(repeating: LogitStatistics(), count: head?.statisticsCount ?? 0),
      partTargets: Targets(loss.targetKind, count: targets))
  }

  /// Length of the gradients, in floats, of parameters that two layers share, which a workspace holds besides its arena.
  var tiedGradientCount: Int {
    isTrained ? tied.reduce(0) { $0 + $1.count } : 0
  }

  /// Length of the sums of gradients, in floats, that a workspace holds between micro-batches besides its arena.
  var gradientSumCount: Int {
    isTrained && microBatchSize < batchSize ? layout.count - (deferred?.tensorEnd ?? 0) : 0
  }

  /// Length of the gradients, in floats, that a workspace holds besides its arena; they wait where states do.
  public var gradientCount: Int { tiedGradientCount + gradientSumCount }

  /// Length in floats of what the first layer's way back waits with; in memory wherever states are.
  public var deferredCount: Int { deferred?.floatCount(batchSize: batchSize) ?? 0 }

  /// Arranges a shared workspace for this network's passes. What was in it is lost.
  public func take(_ workspace: inout Workspace) {
    workspace.inputRegion = program.input
    workspace.inputCount = inputCount
  }
}
