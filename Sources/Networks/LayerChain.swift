import Tensors

/// Layers one after the other, with every tensor they need at a fixed place: in the training state, in saved memory,
/// which lives from the forward to the backward pass, or in scratch memory, which does not.
///
/// A network is a chain and a loss; a block of layers inside another layer is a chain as well.
public struct LayerChain: Sendable {
  struct Stage: Sendable {
    let layer: any Layer
    let outputCount: Int
    let isInPlace: Bool
    /// Whether a layer that works in place has a place of its own, which gets a copy of the input.
    let copiesInput: Bool
    /// In the training state.
    let tensors: [Region]
    /// In saved memory. A stage in place has the output region of the stage before.
    let output: Region
    let saved: Region
  }

  /// The shape of one example's output.
  public let outputShape: [Int]
  /// Floats of saved and of scratch memory.
  public let savedCount: Int
  public let scratchCount: Int
  private let stages: [Stage]
  /// In scratch memory. Going back, a stage reads one gradient and writes another: two places, used in turn.
  private let gradients: [Region]
  private let layerScratch: Region

  /// - Parameters:
  ///   - layers: each with its name in the state, such as `0` or `layer1.0.conv1`.
  ///   - state: gets the layers' tensors added, in order.
  public init(
    _ layers: [(name: String, layer: any Layer)], inputShape: [Int], batchSize: Int, state: inout StateLayout
  ) throws(NetworkError) {
    var savedLayout = ArenaLayout()
    var stages: [Stage] = []
    var shape = inputShape
    var output = Region(offset: 0, count: 0)
    var largestGradient = 0
    var largestScratch = 0
    for (index, (name, layer)) in layers.enumerated() {
      let memory = layer.memory(inputShape: shape, batchSize: batchSize)
      let tensors = layer.stateTensors(inputShape: shape).map { state.add($0, prefix: name) }
      if index > 0 { largestGradient = max(largestGradient, shape.reduce(1, *) * batchSize) }
      largestScratch = max(largestScratch, memory.scratch)
      shape = try layer.outputShape(for: shape)
      let outputCount = shape.reduce(1, *)
      // The first stage may not overwrite what the caller gave it.
      let isInPlace = memory.isInPlace && index > 0
      if !isInPlace { output = savedLayout.reserve(outputCount * batchSize) }
      stages.append(
        Stage(
          layer: layer, outputCount: outputCount, isInPlace: isInPlace,
          copiesInput: memory.isInPlace && !isInPlace, tensors: tensors, output: output,
          saved: savedLayout.reserve(memory.saved)))
    }
    var scratchLayout = ArenaLayout()
    gradients = (0..<2).map { _ in scratchLayout.reserve(largestGradient) }
    layerScratch = scratchLayout.reserve(largestScratch)
    self.stages = stages
    outputShape = shape
    savedCount = savedLayout.count
    scratchCount = scratchLayout.count
  }

  /// What a chain works in.
  public struct Memory {
    /// The training state.
    public let state: Vector
    /// At least `savedCount` and `scratchCount` floats.
    public let saved: Vector
    public let scratch: Vector

    public init(state: Vector, saved: Vector, scratch: Vector) {
      self.state = state
      self.saved = saved
      self.scratch = scratch
    }
  }

  /// - Parameter input: up to batch-size examples × input features.
  /// - Returns: examples × output features, in saved memory.
  public func forward(_ input: Matrix, in memory: Memory, context: PassContext) -> Matrix {
    var input = input
    for stage in stages {
      let output = output(of: stage, rows: input.rows, in: memory)
      if stage.copiesInput { output.elements.copy(from: input.elements) }
      stage.layer.forward(
        ForwardPass(
          input: input, output: output, saved: memory.saved.part(stage.saved),
          scratch: memory.scratch.part(layerScratch), context: context, state: memory.state, regions: stage.tensors))
      input = output
    }
    return input
  }

  /// Goes back through the batch of the last `forward`.
  /// - Parameters:
  ///   - outputGradient: the loss's gradient by the chain's output, apart from it; it is overwritten.
  ///   - inputGradient: takes the gradient by `input`; nil where nobody needs it.
  func backward(
    _ input: Matrix, outputGradient: Matrix, inputGradient: Matrix?, to sink: GradientSink, in memory: Memory,
    context: PassContext
  ) {
    var gradient = outputGradient
    var place = 0
    for (index, stage) in stages.enumerated().reversed() {
      let stageInput = index == 0 ? input : output(of: stages[index - 1], rows: input.rows, in: memory)
      let passedOn =
        if index == 0 { inputGradient } else if stage.isInPlace { gradient as Matrix? } else {
          memory.scratch.part(gradients[place]).matrix(rows: stageInput.rows, columns: stageInput.columns)
        }
      if stage.copiesInput { passedOn?.elements.copy(from: gradient.elements) }
      stage.layer.backward(
        BackwardPass(
          input: stageInput, output: output(of: stage, rows: input.rows, in: memory), outputGradient: gradient,
          inputGradient: passedOn, saved: memory.saved.part(stage.saved), scratch: memory.scratch.part(layerScratch),
          context: context, state: memory.state, sink: sink, regions: stage.tensors))
      if let passedOn { gradient = passedOn }
      if !stage.isInPlace { place = 1 - place }
    }
  }

  private func output(of stage: Stage, rows: Int, in memory: Memory) -> Matrix {
    memory.saved.part(stage.output).matrix(rows: rows, columns: stage.outputCount)
  }
}
