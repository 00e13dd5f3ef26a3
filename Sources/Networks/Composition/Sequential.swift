import Tensors

/// Layers one after the other, as one layer: `torch.nn.Sequential`. It never works in place, whatever it holds.
public struct Sequential: Layer {
  public let layers: [NamedLayer]

  public init(@LayerBuilder _ layers: () -> [NamedLayer]) {
    self.init(layers())
  }

  public init(_ layers: [NamedLayer]) {
    self.layers = layers
  }

  public func placed(inputShape: [Int], in builder: inout NetworkBuilder) throws(NetworkError) -> any PlacedLayer {
    try PlacedSequential(layers.withPlaces, inputShape: inputShape, in: &builder)
  }
}

extension [NamedLayer] {
  /// Every layer with its name, or its place where it has none; instead of a sequence, the layers in it.
  var withPlaces: [(name: String, layer: any Layer)] {
    enumerated().flatMap { place, named in
      let name = named.name ?? String(place)
      guard let inner = named.layer as? Sequential, !inner.layers.isEmpty else { return [(name, named.layer)] }
      return inner.layers.withPlaces.map { ([name, $0.name].filter { !$0.isEmpty }.joined(separator: "."), $0.layer) }
    }
  }
}

/// Layers with every tensor they need at a fixed place: in the training state, in saved memory, which lives from the
/// forward to the backward pass, or in scratch memory, which does not.
struct PlacedSequential: PlacedLayer {
  private struct Stage: Sendable {
    let layer: any PlacedLayer
    /// Length of one example's output, in floats.
    let outputCount: Int
    let isInPlace: Bool
    /// Whether a layer that works in place has a place of its own, which gets a copy of the input.
    let copiesInput: Bool
    /// The place of its output in saved memory; nil for the last output. A stage in place has the place of the stage before.
    let output: Region?
    let saved: Region
  }

  let outputShape: [Int]
  let memory: LayerMemory
  var batchParts: BatchParts { stages.reduce(.any) { $0.and($1.layer.batchParts) } }
  private let stages: [Stage]
  /// Two places in scratch memory on the way back, used in turn: a stage reads one gradient and writes another.
  private let gradients: [Region]
  private let layerScratch: Region

  /// - Parameter layers: each with its name in the state, such as `0` or `layer1.0.conv1`.
  /// - Throws: `NetworkError.shape` where there are none, or one can't take the output of the one before.
  init(
    _ layers: [(name: String, layer: any Layer)], inputShape: [Int], in builder: inout NetworkBuilder
  ) throws(NetworkError) {
    guard !layers.isEmpty else { throw .shape("a sequence of layers needs at least one layer") }
    var placed: [any PlacedLayer] = []
    var shape = inputShape
    for (name, layer) in layers {
      placed.append(try builder.place(layer, named: name, inputShape: shape))
      shape = placed[placed.count - 1].outputShape
    }
    self.init(placed, batchSize: builder.batchSize, isTrained: builder.isTrained)
  }

  /// - Parameters:
  ///   - placed: at least one layer, each of which takes the output of the one before.
  ///   - batchSize: the most examples a pass will have.
  ///   - isTrained: whether there will be backward passes.
  init(_ placed: [any PlacedLayer], batchSize: Int, isTrained: Bool) {
    var stages: [Stage] = []
    var output: Region?
    let inPlace = Self.inPlace(placed.map(\.memory))
    // From here on, all stages work in place on the last output.
    let lastPlace = inPlace.lastIndex(of: false) ?? 0
    var saved = SavedMemory(
      largestOutput: placed[..<lastPlace].reduce(0) { max($0, $1.outputShape.reduce(1, *) * batchSize) },
      largestSaved: placed.reduce(0) { max($0, $1.memory.saved) }, isTrained: isTrained)
    for (index, layer) in placed.enumerated() {
      let memory = layer.memory
      let isInPlace = inPlace[index]
      let outputCount = layer.outputShape.reduce(1, *)
      if !isInPlace { output = index == lastPlace ? nil : saved.output(count: outputCount * batchSize) }
      stages.append(
        Stage(
          layer: layer, outputCount: outputCount, isInPlace: isInPlace,
          copiesInput: memory.isInPlace && !isInPlace, output: output, saved: saved.region(count: memory.saved)))
    }
    var scratchLayout = ArenaLayout()
    var gradientCounts = [0, 0]
    var place = 0
    for index in stages.indices.dropFirst().reversed() where isTrained && !stages[index].isInPlace {
      gradientCounts[place] = max(gradientCounts[place], stages[index - 1].outputCount * batchSize)
      place = 1 - place
    }
    gradients = gradientCounts.map { scratchLayout.reserve($0) }
    let backwardScratch = placed.reduce(0) { max($0, $1.memory.backwardScratch) }
    layerScratch = scratchLayout.reserve(isTrained ? backwardScratch : 0)
    self.stages = stages
    outputShape = placed[placed.count - 1].outputShape
    memory = LayerMemory(
      saved: saved.layout.count, forwardScratch: placed.reduce(0) { max($0, $1.memory.forwardScratch) },
      backwardScratch: scratchLayout.count, readsInput: placed[0].memory.readsInput,
      readsOutput: placed[lastPlace...].contains(where: \.memory.readsOutput),
      overwritesGradient: placed[lastPlace...].contains(where: \.memory.overwritesGradient))
  }

  var multiplyAdds: Double { stages.reduce(0) { $0 + $1.layer.multiplyAdds } }

  /// The layer, where there is only one.
  var only: (any PlacedLayer)? { stages.count == 1 ? stages[0].layer : nil }

  /// The types of the layers, in their order.
  var kinds: [String] { stages.map { "\(type(of: $0.layer))" } }

  /// Which layers work on the output of the one before. The first never does, because it may not overwrite what it was
  /// given; nor does one behind a layer whose backward pass reads its own output.
  static func inPlace(_ memories: [LayerMemory]) -> [Bool] {
    memories.indices.map { $0 > 0 && memories[$0].isInPlace && !memories[$0 - 1].readsOutput }
  }

  func forward(_ pass: ForwardPass) throws(PagingError) {
    var input = pass.input
    for stage in stages {
      let output = output(of: stage, in: pass)
      if stage.copiesInput { output.elements.copy(from: input.elements) }
      try stage.layer.forward(
        pass.inner(input: input, output: output, saved: pass.saved.part(stage.saved), scratch: pass.scratch))
      input = output.matrix
    }
  }

  func backward(_ pass: BackwardPass) throws(PagingError) {
    var gradient = pass.outputGradient
    var place = 0
    for (index, stage) in stages.enumerated().reversed() {
      let stageInput =
        index == 0 ? pass.input : output(of: stages[index - 1], in: pass)
      let passedOn =
        if index == 0 { pass.inputGradient } else if stage.isInPlace { gradient as MutableMatrix? } else {
          pass.scratch.part(gradients[place]).matrix(rows: stageInput.rows, columns: stageInput.columns)
        }
      if stage.copiesInput { passedOn?.elements.copy(from: gradient.elements.vector) }
      try stage.layer.backward(
        pass.inner(
          input: stageInput, output: output(of: stage, in: pass), outputGradient: gradient, inputGradient: passedOn,
          saved: pass.saved.part(stage.saved), scratch: pass.scratch.part(layerScratch)))
      if let passedOn { gradient = passedOn }
      if !stage.isInPlace { place = 1 - place }
    }
  }

  /// Where `stage` writes its output: examples × `Stage.outputCount`.
  private func output(of stage: Stage, in pass: ForwardPass) -> MutableMatrix {
    (stage.output.map { pass.saved.part($0) } ?? pass.output.elements)
      .matrix(rows: pass.input.rows, columns: stage.outputCount)
  }

  /// The output that `stage` wrote on the way forward: examples × `Stage.outputCount`.
  private func output(of stage: Stage, in pass: BackwardPass) -> Matrix {
    (stage.output.map { pass.saved.part($0) } ?? pass.output.elements)
      .matrix(rows: pass.input.rows, columns: stage.outputCount)
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
