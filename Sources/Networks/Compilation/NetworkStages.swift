import Tensors

/// A stage of a network in its place.
struct NetworkStage: Sendable {
  enum Work: Sendable {
    /// A layer with an output of its own, and those that work on that output in place.
    case layers(PlacedSequential)
    /// y = a + b, and with `isRectified` max(y, 0), where a and b are the outputs of two branches.
    case sum(isRectified: Bool)
  }

  let work: Work
  /// The shape of one example's output.
  let outputShape: [Int]
  /// The tensors that it reads and updates, by their index in the layout.
  let tensors: Range<Int>
}

/// The stages of a network as its layers are placed one after the other.
struct NetworkStages {
  /// What a stage gives to those behind it: its number, as `StageGraph` counts, and the shape of one example.
  struct Activation {
    let number: Int
    let shape: [Int]
  }

  private(set) var builder: NetworkBuilder
  private(set) var stages: [NetworkStage] = []
  private(set) var graph: [StageGraph.Stage] = []
  /// Whether each parameter's gradient is held whole until the optimizer has taken it.
  private let holdsGradients: Bool

  init(batchSize: Int, isTrained: Bool, holdsGradients: Bool) {
    builder = NetworkBuilder(batchSize: batchSize, isTrained: isTrained)
    self.holdsGradients = holdsGradients
  }

  /// Adds layers one after the other.
  /// - Throws: `NetworkError.shape` where there are none, or one can't take the output of the one before.
  mutating func add(_ layers: [NamedLayer], from input: Activation) throws(NetworkError) -> Activation {
    guard !layers.isEmpty else { throw .shape("a sequence of layers needs at least one layer") }
    var last = input
    var group = Group(tensors: builder.layout.tensors.count)
    for (name, layer) in layers.withPlaces {
      if let block = layer as? Residual {
        last = try add(block, named: name, from: close(&group, from: last))
        group = Group(tensors: builder.layout.tensors.count)
        continue
      }
      let first = builder.layout.tensors.count
      let placed = try builder.place(layer, named: name, inputShape: group.layers.last?.outputShape ?? last.shape)
      if let before = group.layers.last, !PlacedSequential.inPlace([before.memory, placed.memory])[1] {
        last = close(&group, from: last)
        group = Group(tensors: first)
      }
      group.layers.append(placed)
      group.tensors = group.tensors.lowerBound..<builder.layout.tensors.count
    }
    return close(&group, from: last)
  }

  /// Adds the stages of both branches and their sum.
  private mutating func add(_ block: Residual, named name: String, from input: Activation) throws(NetworkError) -> Activation {
    let outer = builder.enter(name)
    defer { builder.leave(to: outer) }
    let main = try add(block.main, from: input)
    let shortcut = block.shortcut.isEmpty ? input : try add(block.shortcut, from: input)
    try Residual.check(main.shape, shortcut: shortcut.shape)
    let count = main.shape.reduce(1, *) * builder.batchSize
    let tensors = builder.layout.tensors.count
    stages.append(
      NetworkStage(work: .sum(isRectified: block.isRectified), outputShape: main.shape, tensors: tensors..<tensors))
    graph.append(
      StageGraph.Stage(
        StageCost(guessedFor: 0, backward: 0, inputCount: count, outputCount: count),
        inputs: [main.number, shortcut.number], isSum: true, readsInput: false, readsOutput: block.isRectified,
        overwritesGradient: block.isRectified))
    return Activation(number: stages.count, shape: main.shape)
  }

  /// Layers that have been placed but are not a stage yet: one with an output of its own, then those that work on it in place.
  private struct Group {
    var tensors: Range<Int>
    var layers: [any PlacedLayer] = []

    /// - Parameter start: how many tensors there are before the group's.
    init(tensors start: Int) { tensors = start..<start }
  }

  /// Makes a stage of the group's layers, if it has any.
  private mutating func close(_ group: inout Group, from input: Activation) -> Activation {
    guard !group.layers.isEmpty else { return input }
    let placed = PlacedSequential(group.layers, batchSize: builder.batchSize, isTrained: builder.isTrained)
    let tensors = group.tensors
    group.layers = []
    let memory = placed.memory
    let multiplyAdds = placed.multiplyAdds * Double(builder.batchSize)
    stages.append(NetworkStage(work: .layers(placed), outputShape: placed.outputShape, tensors: tensors))
    graph.append(
      StageGraph.Stage(
        StageCost(
          // The gradient by the network's input is not computed.
          guessedFor: multiplyAdds, backward: input.number == 0 ? multiplyAdds : 2 * multiplyAdds, inputCount: input.shape.reduce(1, *) * builder.batchSize,
          outputCount: placed.outputShape.reduce(1, *) * builder.batchSize, savedCount: memory.saved,
          forwardScratchCount: memory.forwardScratch, backwardScratchCount: memory.backwardScratch),
        inputs: [input.number], readsInput: memory.readsInput, readsOutput: memory.readsOutput,
        overwritesGradient: memory.overwritesGradient,
        parameterGradientCount: !holdsGradients
          ? 0 : builder.layout.tensors[tensors].reduce(0) { max($0, $1.role == .parameter ? partCount(of: $1.region) : 0) }))
    return Activation(number: stages.count, shape: placed.outputShape)
  }

  /// The floats of a parameter's gradient that are there at once.
  private func partCount(of region: Region) -> Int {
    builder.inParts.first { $0.region == region }?.partCount ?? region.count
  }
}
