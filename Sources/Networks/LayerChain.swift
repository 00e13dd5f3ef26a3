import Tensors

/// Layers one after the other, with every tensor they need at a fixed place: in the training state, in saved memory,
/// which lives from the forward to the backward pass, or in scratch memory, which does not.
///
/// A network is a chain and a loss; a block of layers inside another layer is a chain as well.
public struct LayerChain: Sendable {
  private struct Stage: Sendable {
    let layer: any PlacedLayer
    let outputCount: Int
    let isInPlace: Bool
    /// Whether a layer that works in place has a place of its own, which gets a copy of the input.
    let copiesInput: Bool
    /// In saved memory; nil for the chain's output. A stage in place has the output region of the stage before.
    let output: Region?
    let saved: Region
  }

  /// The shape of one example's output.
  public let outputShape: [Int]
  /// Floats of saved memory, and of scratch memory in passes forward and back.
  public let savedCount: Int
  public let forwardScratchCount: Int
  public let backwardScratchCount: Int
  /// Whether going back needs the output: its last layer works in place.
  public let readsOutput: Bool
  private let stages: [Stage]
  /// In scratch memory on the way back. There a stage reads one gradient and writes another: two places, used in turn.
  private let gradients: [Region]
  private let layerScratch: Region

  /// - Parameter layers: each with its name in the state, such as `0` or `layer1.0.conv1`; at least one.
  public init(
    _ layers: [(name: String, layer: any Layer)], inputShape: [Int], in builder: inout NetworkBuilder
  ) throws(NetworkError) {
    var placed: [any PlacedLayer] = []
    var shape = inputShape
    for (name, layer) in layers {
      placed.append(try builder.place(layer, named: name, inputShape: shape))
      shape = placed[placed.count - 1].outputShape
    }
    var stages: [Stage] = []
    var output: Region?
    // From here on, all stages work in place on the chain's output. The first stage never does: it may not overwrite
    // what the caller gave it.
    let lastPlace = placed.indices.last { $0 == 0 || !placed[$0].memory.isInPlace } ?? 0
    var saved = SavedMemory(
      largestOutput: placed[..<lastPlace].reduce(0) { max($0, $1.outputShape.reduce(1, *) * builder.batchSize) },
      largestSaved: placed.reduce(0) { max($0, $1.memory.saved) }, isTrained: builder.isTrained)
    for (index, layer) in placed.enumerated() {
      let memory = layer.memory
      let isInPlace = memory.isInPlace && index > 0
      let outputCount = layer.outputShape.reduce(1, *)
      if !isInPlace { output = index == lastPlace ? nil : saved.output(count: outputCount * builder.batchSize) }
      stages.append(
        Stage(
          layer: layer, outputCount: outputCount, isInPlace: isInPlace,
          copiesInput: memory.isInPlace && !isInPlace, output: output, saved: saved.region(count: memory.saved)))
    }
    var scratchLayout = ArenaLayout()
    var gradientCounts = [0, 0]
    var place = 0
    for index in stages.indices.dropFirst().reversed() where builder.isTrained && !stages[index].isInPlace {
      gradientCounts[place] = max(gradientCounts[place], stages[index - 1].outputCount * builder.batchSize)
      place = 1 - place
    }
    gradients = gradientCounts.map { scratchLayout.reserve($0) }
    let backwardScratch = placed.reduce(0) { max($0, $1.memory.backwardScratch) }
    layerScratch = scratchLayout.reserve(builder.isTrained ? backwardScratch : 0)
    readsOutput = placed.last?.memory.isInPlace ?? true
    self.stages = stages
    outputShape = shape
    savedCount = saved.layout.count
    forwardScratchCount = placed.reduce(0) { max($0, $1.memory.forwardScratch) }
    backwardScratchCount = scratchLayout.count
  }

  /// What a chain works in.
  struct Memory {
    /// The training state.
    let state: Vector
    /// At least `savedCount` floats, and as much scratch memory as the pass needs.
    let saved: Vector
    let scratch: Vector
    /// examples × output features; between forward and backward it may change if not `readsOutput`.
    let output: Matrix
  }

  /// Fills the output.
  /// - Parameter input: up to batch-size examples × input features.
  func forward(_ input: Matrix, in memory: Memory, context: PassContext) {
    var input = input
    for stage in stages {
      let output = output(of: stage, rows: input.rows, in: memory)
      if stage.copiesInput { output.elements.copy(from: input.elements) }
      stage.layer.forward(
        ForwardPass(
          input: input, output: output, saved: memory.saved.part(stage.saved),
          scratch: memory.scratch, context: context, state: memory.state))
      input = output
    }
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
          context: context, state: memory.state, sink: sink))
      if let passedOn { gradient = passedOn }
      if !stage.isInPlace { place = 1 - place }
    }
  }

  private func output(of stage: Stage, rows: Int, in memory: Memory) -> Matrix {
    let columns = stage.outputCount
    guard let region = stage.output else { return memory.output.elements.matrix(rows: rows, columns: columns) }
    return memory.saved.part(region).matrix(rows: rows, columns: columns)
  }
}

/// Gives out places in saved memory: to every output and every layer its own, or, where nothing is kept for a backward
/// pass, two places to outputs in turn and one to all layers.
private struct SavedMemory {
  private(set) var layout: ArenaLayout
  private let shared: (outputs: [Region], layers: Region)?
  private var turn = 0

  init(largestOutput: Int, largestSaved: Int, isTrained: Bool) {
    var layout = ArenaLayout()
    if isTrained {
      shared = nil
    } else {
      let outputs = (0..<2).map { _ in layout.reserve(largestOutput) }
      shared = (outputs, layout.reserve(largestSaved))
    }
    self.layout = layout
  }

  mutating func output(count: Int) -> Region {
    guard let shared else { return layout.reserve(count) }
    turn = 1 - turn
    return Region(offset: shared.outputs[turn].offset, count: count)
  }

  mutating func region(count: Int) -> Region {
    guard let shared else { return layout.reserve(count) }
    return Region(offset: shared.layers.offset, count: count)
  }
}
