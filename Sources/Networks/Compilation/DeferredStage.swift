import Tensors

/// A stage whose way back waits for the last micro-batch and then goes with the whole batch: a network's first one, where the last layer
/// shares its tensor.
///
/// That tensor's gradient is what the last layer gives of all examples, and then what the first layer gives. Micro-batch after
/// micro-batch the two would be mixed, and the sum would have other bits. So the inputs and the gradients by the outputs are kept.
struct DeferredStage: Sendable {
  /// Numbers of an example.
  private let inputCount: Int
  private let outputCount: Int
  /// The floats of the largest gradient of a parameter that is held at once.
  private let parameterGradientCount: Int
  /// Where its tensors end in the state, at whose beginning they are.
  let tensorEnd: Int

  /// Its number.
  static let stage = 0

  /// Whether the way back of a stage can wait: that of the first one, if it needs nothing but its input.
  static func isPossible(_ stage: Int, _ graph: StageGraph) -> Bool {
    let node = graph.stages[stage]
    return stage == Self.stage && node.cost.savedCount == 0 && node.cost.backwardScratchCount == 0 && !node.readsOutput
  }

  init(_ stages: [NetworkStage], inputCount: Int, layout: StateLayout, inParts: [TensorInParts]) {
    let stage = stages[Self.stage]
    self.inputCount = inputCount
    outputCount = stage.outputShape.reduce(1, *)
    let tensors = layout.tensors[stage.tensors]
    parameterGradientCount = tensors.map { tensor in
      inParts.first { $0.region == tensor.region }?.partCount ?? tensor.region.count
    }.reduce(0, max)
    tensorEnd = stage.tensors.upperBound < layout.tensors.count ? layout.tensors[stage.tensors.upperBound].region.offset : layout.count
  }

  /// Floats of what is kept.
  func floatCount(batchSize: Int) -> Int { batchSize * (inputCount + outputCount) + parameterGradientCount }

  /// The inputs of a batch, the gradients by its outputs, and room for the gradient of a parameter.
  func parts(_ buffer: MutableVector, batchSize: Int) -> (inputs: MutableMatrix, gradients: MutableMatrix, parameterGradient: MutableVector) {
    let inputs = Region(offset: 0, count: batchSize * inputCount)
    let gradients = Region(offset: inputs.end, count: batchSize * outputCount)
    return (
      buffer.part(inputs).matrix(rows: batchSize, columns: inputCount),
      buffer.part(gradients).matrix(rows: batchSize, columns: outputCount),
      buffer.part(Region(offset: gradients.end, count: parameterGradientCount))
    )
  }

  /// Keeps what a micro-batch gives.
  func keep(_ input: Matrix, _ gradient: Matrix, of part: MicroBatch, in buffer: MutableVector, batchSize: Int) {
    let kept = parts(buffer, batchSize: batchSize)
    kept.inputs.rows(part.examples).elements.copy(from: input.elements)
    kept.gradients.rows(part.examples).elements.copy(from: gradient.elements)
  }
}
