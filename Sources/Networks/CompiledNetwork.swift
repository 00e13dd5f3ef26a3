import Tensors

/// A network for batches up to one size, with all its memory laid out before the first pass.
public struct CompiledNetwork: Sendable {
  /// The training state's tensors; the same for every batch size.
  public let layout: StateLayout
  public let batchSize: Int
  public let inputCount: Int
  public let classCount: Int
  private let chain: LayerChain
  private let input: Region
  private let saved: Region
  private let scratch: Region
  private let logitsGradient: Region
  /// Floats of one workspace.
  public let arenaCount: Int

  public init(_ description: NetworkDescription, batchSize: Int) throws(NetworkError) {
    var layout = StateLayout()
    chain = try LayerChain(
      description.layers, inputShape: description.inputShape, batchSize: batchSize, state: &layout)
    guard chain.outputShape == [description.classCount] else {
      throw .shape(
        "the model \(description.name) ends with the shape \(chain.outputShape), not with \(description.classCount) logits")
    }
    self.layout = layout
    self.batchSize = batchSize
    inputCount = description.inputShape.reduce(1, *)
    classCount = description.classCount
    var arena = ArenaLayout()
    input = arena.reserve(inputCount * batchSize)
    saved = arena.reserve(chain.savedCount)
    scratch = arena.reserve(chain.scratchCount)
    logitsGradient = arena.reserve(classCount * batchSize)
    arenaCount = arena.count
  }

  /// Everything a pass needs besides the state. Fill `inputs` and `labels` before a pass.
  public struct Workspace: ~Copyable, Sendable {
    fileprivate var arena: FloatBuffer
    fileprivate let inputRegion: Region
    fileprivate let inputCount: Int
    /// The class of each example, from 0.
    public var labels: [Int32]

    /// The first `rows` examples × input features.
    public func inputs(rows: Int) -> Matrix {
      arena.vector.part(inputRegion).matrix(rows: rows, columns: inputCount)
    }
  }

  public func makeWorkspace() throws -> Workspace {
    Workspace(
      arena: try FloatBuffer(count: arenaCount), inputRegion: input, inputCount: inputCount,
      labels: [Int32](repeating: 0, count: batchSize))
  }

  /// One step of SGD on the full batch in `workspace`: θ ← θ − η ∇L(θ), L the mean cross-entropy. Each weight is
  /// updated where its gradient arises; no gradient of weights is stored.
  public func descend(
    _ state: inout StateBuffer, learningRate: Float, context: PassContext, workspace: inout Workspace
  ) {
    backpropagate(
      state.vector, to: GradientSink(destination: state.vector, scale: -learningRate, keep: 1), context: context,
      workspace: &workspace)
  }

  /// ∇L(θ) of the full batch in `workspace`, laid out like the state. Buffers such as running statistics are
  /// changed as in training.
  public func gradient(
    of state: inout StateBuffer, into gradient: inout StateBuffer, context: PassContext,
    workspace: inout Workspace
  ) {
    backpropagate(
      state.vector, to: GradientSink(destination: gradient.vector, scale: 1, keep: 0), context: context,
      workspace: &workspace)
  }

  /// The mean loss L(θ) of the full batch in `workspace` as an update sees it. Buffers such as running statistics
  /// are changed as in training.
  public func trainingLoss(
    of state: inout StateBuffer, context: PassContext, workspace: inout Workspace
  ) -> Double {
    let logits = chain.forward(
      workspace.inputs(rows: batchSize), in: memory(state.vector, workspace), context: context)
    return SoftmaxCrossEntropy.evaluate(logits, labels: workspace.labels).lossSum / Double(batchSize)
  }

  /// Loss and hits of the first `rows` examples in `workspace`, summed over them.
  public func evaluate(
    _ state: borrowing StateBuffer, rows: Int, workspace: inout Workspace
  ) -> (lossSum: Double, correct: Int) {
    let logits = chain.forward(
      workspace.inputs(rows: rows), in: memory(state.vector, workspace), context: PassContext(isTraining: false))
    return SoftmaxCrossEntropy.evaluate(logits, labels: workspace.labels)
  }

  private func backpropagate(
    _ state: Vector, to sink: GradientSink, context: PassContext, workspace: inout Workspace
  ) {
    let inputs = workspace.inputs(rows: batchSize)
    let memory = memory(state, workspace)
    let logits = chain.forward(inputs, in: memory, context: context)
    let gradient = workspace.arena.vector.part(logitsGradient).matrix(rows: batchSize, columns: classCount)
    SoftmaxCrossEntropy.writeGradient(of: logits, labels: workspace.labels, to: gradient)
    chain.backward(inputs, outputGradient: gradient, inputGradient: nil, to: sink, in: memory, context: context)
  }

  private func memory(_ state: Vector, _ workspace: borrowing Workspace) -> LayerChain.Memory {
    LayerChain.Memory(
      state: state, saved: workspace.arena.vector.part(saved), scratch: workspace.arena.vector.part(scratch))
  }
}
