import Networks
import Tensors
import Testing

/// y = x − r in training, where r is the running mean of all inputs, kept in the state; the layer also saves the mean
/// that the pass used. It represents normalisation layers, with a buffer of the state, saved memory, scratch memory
/// and a parameter.
private struct Centering: Layer {
  func placed(inputShape: [Int], in builder: inout NetworkBuilder) -> any PlacedLayer {
    let count = inputShape.reduce(1, *)
    return PlacedCentering(
      outputShape: inputShape, memory: LayerMemory(saved: count, forwardScratch: count, backwardScratch: count),
      gain: builder.add("gain", shape: [count], initialization: .constant(2)),
      mean: builder.add("running_mean", shape: [count], role: .buffer, initialization: .constant(0)))
  }
}

private struct PlacedCentering: PlacedLayer {
  let outputShape: [Int]
  let memory: LayerMemory
  let gain: Region
  let mean: Region

  func forward(_ pass: ForwardPass) {
    let mean = pass.tensor(mean)
    let followed = pass.buffer(self.mean)
    for c in 0..<pass.input.columns {
      pass.scratch[c] = 0
      for r in 0..<pass.input.rows { pass.scratch[c] += pass.input[row: r][c] / Float(pass.input.rows) }
      pass.saved[c] = pass.context.isTraining ? pass.scratch[c] : mean[c]
      followed?[c] = 0.5 * mean[c] + 0.5 * pass.scratch[c]
      for r in 0..<pass.input.rows {
        pass.output[row: r][c] = pass.tensor(gain)[c] * (pass.input[row: r][c] - pass.saved[c])
      }
    }
  }

  func backward(_ pass: BackwardPass) {
    let rows = pass.input.rows
    for c in 0..<pass.input.columns {
      var sum: Float = 0
      var gradient: Float = 0
      for r in 0..<rows {
        sum += pass.outputGradient[row: r][c]
        gradient += pass.outputGradient[row: r][c] * (pass.input[row: r][c] - pass.saved[c])
      }
      for r in 0..<rows {
        pass.inputGradient?[row: r][c] = pass.tensor(gain)[c] * (pass.outputGradient[row: r][c] - sum / Float(rows))
      }
      pass.scratch[c] = gradient
    }
    pass.takeGradient(of: gain) { $0.add(pass.scratch.vector.part(Region(offset: 0, count: pass.input.columns))) }
  }
}

@Suite struct CompositionTests {
  private func network(_ layers: [any Layer], batch: Int) throws -> CompiledNetwork {
    try CompiledNetwork(
      Network(input: [3]) { layers }, loss: CrossEntropy(), batchSize: batch)
  }

  /// Layers with buffers, saved and scratch memory, layers that work in place at every position of a chain, and
  /// chains in blocks.
  @Test func gradientsMatchDifferences() throws {
    let block = Residual(rectified: true) {
      Dense(4)
      ReLU()
      Centering()
    }
    let changing = Residual {
      Dense(4)
      Centering()
    } shortcut: {
      Dense(4).named("s")
      ReLU()
    }
    // The backward pass reads the layer's output, so the sum has memory of its own.
    let kept = Residual {
      Dense(4)
      ReLU()
    }
    let nested = Residual {
      block.named("inner")
      Dense(4)
    }
    let chains: [[any Layer]] = [
      [Centering()], [ReLU(), Dense(4), Centering(), ReLU()], [Dense(2), ReLU(), ReLU()],
      [Dense(5), ReLU(), Centering(), Centering(), Dense(2), Centering()], [Dense(4), block], [changing, block],
      [changing, ReLU(), nested], [Dense(4), kept, ReLU(), Sequential { ReLU() }],
      [Sequential { Sequential { Centering() } }, Flatten()],
    ]
    for layers in chains {
      for (tensor, error) in try GradientCheck(layers: layers, inputShape: [3], batch: 6, step: 1e-3, seed: 1).errors() {
        #expect(error < 0.005, "\(layers), \(tensor): \(error)")
      }
    }
  }

  @Test func blocksThatDoNotAddUpAreRefused() {
    #expect(throws: NetworkError.self) { try network([Residual { Dense(4) }, Dense(2)], batch: 2) }
  }

  @Test func buffersChangeInTrainingOnly() throws {
    let network = try network([Centering(), Dense(2)], batch: 2)
    var state = try StateBuffer(count: network.layout.count)
    try network.layout.initialize(&state, seed: 5)
    var workspace = try network.makeWorkspace()
    workspace.inputs(rows: 2).elements.fill(4)
    let mean = network.layout.tensors[1]
    _ = try network.measured(state, rows: 2, workspace: &workspace)
    #expect(try network.layout.values(of: mean, in: state) == [0, 0, 0])
    try network.update(
      &state, learningRate: 0.1, position: 0, context: PassContext(isTraining: true), workspace: &workspace)
    #expect(try network.layout.values(of: mean, in: state) == [2, 2, 2])
  }

  /// `Centering` writes to its buffer whenever the pass gives it one: a repeated pass does not.
  @Test func buffersChangeOnceInAnUpdate() throws {
    let whole = try network([Dense(3), Centering(), Dense(2)], batch: 2)
    let passes: [ActivationSchedule.Pass] = [
      .forward(0), .forward(1), .forward(2), .backward(2), .forward(0), .forward(1), .backward(1), .backward(0),
    ]
    let repeating = try whole.rescheduled(ActivationSchedule(passes))
    let means = try [whole, repeating].map { network in
      var state = try StateBuffer(count: network.layout.count)
      try network.layout.initialize(&state, seed: 5)
      var workspace = try network.makeWorkspace()
      workspace.inputs(rows: 2).elements.fill(4)
      try network.update(
        &state, learningRate: 0.1, position: 0, context: PassContext(isTraining: true), workspace: &workspace)
      return try network.layout.values(of: network.layout.tensors[3], in: state)
    }
    #expect(whole.layout.tensors[3].role == .buffer && means[0].contains { $0 != 0 })
    #expect(means[1] == means[0])
  }

  /// With weights 1, 1/2, 1/3, running statistics are means over batches.
  @Test func runningStatisticsTakeTheWeightTheyAreGiven() throws {
    let network = try network([BatchNormalization(), Dense(2)], batch: 3)
    var state = try StateBuffer(count: network.stateCount)
    try network.layout.initialize(&state, seed: 5)
    var workspace = try network.makeWorkspace()
    for batch in 1...3 {
      for row in 0..<3 { workspace.inputs(rows: 3)[row: row].fill(Float(batch * batch + row * batch)) }
      let context = PassContext(isTraining: true, statisticsWeight: 1 / Float(batch))
      _ = try network.trainingLoss(of: &state, context: context, workspace: &workspace)
    }
    // Batch b holds b², b² + b and b² + 2b: mean b² + b, unbiased variance b².
    let expected: [String: Float] = ["0.running_mean": (2 + 6 + 12) / 3, "0.running_var": (1 + 4 + 9) / 3]
    for tensor in network.layout.tensors where tensor.role == .buffer {
      for value in try network.layout.values(of: tensor, in: state) { #expect(abs(value - expected[tensor.name]!) < 1e-5) }
    }
  }
}
