import Tensors

/// A network for batches up to one size, with all its memory laid out before the first pass.
public struct CompiledNetwork: Sendable {
  /// The network's own tensors, at the start of the training state; the same for every batch size.
  public let layout: StateLayout
  public let batchSize: Int
  /// Features of an example, and labels: 1, or one for each position of a sequence.
  public let inputCount: Int
  public let labelCount: Int
  public let classCount: Int
  public let optimizer: Optimizer
  private let chain: LayerChain
  private let input: Region
  private let saved: Region
  private let scratch: Region
  private let logits: Region
  private let logitsGradient: Region
  /// One parameter's, where the optimizer needs it whole.
  private let gradient: Region
  /// Floats of one workspace.
  public let arenaCount: Int

  /// - Parameter isTrained: whether there will be updates and gradients; without, `evaluate` and `logits` take a fraction
  ///   of the memory.
  public init(
    _ description: NetworkDescription, batchSize: Int, optimizer: Optimizer = Optimizer(.sgd), isTrained: Bool = true
  ) throws(NetworkError) {
    var builder = NetworkBuilder(batchSize: batchSize, isTrained: isTrained)
    chain = try LayerChain(description.layers, inputShape: description.inputShape, in: &builder)
    guard chain.outputShape.last == description.classCount else {
      throw .shape(
        "the model \(description.name) ends with the shape \(chain.outputShape), not with \(description.classCount) logits")
    }
    layout = builder.layout
    self.batchSize = batchSize
    self.optimizer = optimizer
    inputCount = description.inputShape.reduce(1, *)
    labelCount = chain.outputShape.dropLast().reduce(1, *)
    classCount = description.classCount
    var arena = ArenaLayout()
    input = arena.reserve(inputCount * batchSize)
    saved = arena.reserve(chain.savedCount)
    scratch = arena.reserve(chain.scratchCount)
    logits = arena.reserve(labelCount * classCount * batchSize)
    logitsGradient = arena.reserve(isTrained ? labelCount * classCount * batchSize : 0)
    gradient = arena.reserve(isTrained && optimizer.rule != .sgd ? layout.largestParameterCount : 0)
    arenaCount = arena.count
  }

  /// Length of the training state, in floats: the network's tensors, then for each slot of the optimizer as much again,
  /// each parameter's at the same place.
  public var stateCount: Int { layout.count * (1 + optimizer.slotNames.count) }

  /// Everything a pass needs besides the state. Fill `inputs` and `labels` before a pass.
  public struct Workspace: ~Copyable, Sendable {
    fileprivate var arena: FloatBuffer
    fileprivate let inputRegion: Region
    fileprivate let inputCount: Int
    /// The classes of each example in turn, from 0.
    public var labels: [Int32]

    /// The first `rows` examples × input features.
    public func inputs(rows: Int) -> Matrix {
      arena.vector.part(inputRegion).matrix(rows: rows, columns: inputCount)
    }
  }

  public func makeWorkspace() throws -> Workspace {
    Workspace(
      arena: try FloatBuffer(count: arenaCount), inputRegion: input, inputCount: inputCount,
      labels: [Int32](repeating: 0, count: batchSize * labelCount))
  }

  /// One step of the optimizer on the full batch in `workspace`, for the gradient ∇L(θ) of the mean cross-entropy. Plain
  /// SGD updates each weight where its gradient arises, and stores none; other rules hold one parameter's gradient at a
  /// time.
  /// - Parameter position: how many updates the state has had before.
  public func update(
    _ state: inout StateBuffer, learningRate: Double, position: Int, context: PassContext,
    workspace: inout Workspace
  ) {
    let sink: GradientSink
    if optimizer.rule == .sgd {
      let lambda: Double =
        switch optimizer.weightDecay { case .l2(let lambda), .decoupled(let lambda): lambda }
      sink = .accumulate(in: state.vector, scale: Float(-learningRate), keep: Float(1 - learningRate * lambda))
    } else {
      let step = OptimizerStep(
        rule: optimizer.rule, weightDecay: optimizer.weightDecay, learningRate: learningRate, position: position,
        slotDistance: layout.count)
      sink = .step(step, state: state.vector, scratch: workspace.arena.vector.part(gradient))
    }
    backpropagate(state.vector, to: sink, context: context, workspace: &workspace)
  }

  /// ∇L(θ) of the full batch in `workspace`, laid out like the network's tensors. Buffers such as running statistics are
  /// changed as in training.
  public func gradient(
    of state: inout StateBuffer, into gradient: inout StateBuffer, context: PassContext,
    workspace: inout Workspace
  ) {
    backpropagate(
      state.vector, to: .accumulate(in: gradient.vector, scale: 1, keep: 0), context: context, workspace: &workspace)
  }

  /// The mean loss L(θ) of the full batch in `workspace` as an update sees it. Buffers such as running statistics
  /// are changed as in training.
  public func trainingLoss(
    of state: inout StateBuffer, context: PassContext, workspace: inout Workspace
  ) -> Double {
    let logits = forward(state.vector, rows: batchSize, context: context, workspace: workspace)
    return SoftmaxCrossEntropy.evaluate(logits, labels: workspace.labels).lossSum / Double(logits.rows)
  }

  /// Loss and hits of the first `rows` examples in `workspace`, summed over their labels.
  public func evaluate(
    _ state: borrowing StateBuffer, rows: Int, workspace: inout Workspace
  ) -> (lossSum: Double, correct: Int) {
    let logits = forward(
      state.vector, rows: rows, context: PassContext(isTraining: false), workspace: workspace)
    return SoftmaxCrossEntropy.evaluate(logits, labels: workspace.labels)
  }

  /// The logits of the first `rows` examples in `workspace`: rows · labels × classes, valid until its next use.
  public func logits(
    _ state: borrowing StateBuffer, rows: Int, workspace: inout Workspace
  ) -> Matrix {
    forward(state.vector, rows: rows, context: PassContext(isTraining: false), workspace: workspace)
  }

  /// The same in any context. In training, buffers such as running statistics are changed.
  public func logits(
    _ state: inout StateBuffer, rows: Int, context: PassContext, workspace: inout Workspace
  ) -> Matrix {
    forward(state.vector, rows: rows, context: context, workspace: workspace)
  }

  /// Returns the logits, a row for each label.
  private func forward(
    _ state: Vector, rows: Int, context: PassContext, workspace: borrowing Workspace
  ) -> Matrix {
    let memory = memory(state, rows: rows, workspace)
    chain.forward(workspace.inputs(rows: rows), in: memory, context: context)
    return memory.output.rearranged(columns: classCount)
  }

  private func backpropagate(
    _ state: Vector, to sink: GradientSink, context: PassContext, workspace: inout Workspace
  ) {
    let logits = forward(state, rows: batchSize, context: context, workspace: workspace)
    let gradient = workspace.arena.vector.part(logitsGradient).matrix(rows: logits.rows, columns: classCount)
    SoftmaxCrossEntropy.writeGradient(of: logits, labels: workspace.labels, to: gradient)
    chain.backward(
      workspace.inputs(rows: batchSize), outputGradient: gradient.rearranged(columns: labelCount * classCount),
      inputGradient: nil, to: sink, in: memory(state, rows: batchSize, workspace), context: context)
  }

  private func memory(_ state: Vector, rows: Int, _ workspace: borrowing Workspace) -> LayerChain.Memory {
    let arena = workspace.arena.vector
    return LayerChain.Memory(
      state: state, saved: arena.part(saved), scratch: arena.part(scratch),
      output: arena.part(logits).matrix(rows: rows, columns: labelCount * classCount))
  }
}
