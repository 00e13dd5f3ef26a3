import Networks
import Tensors
import Testing

/// y = x − r in training, with r the running mean of all inputs, kept in the state; r also saves the mean the pass
/// used. It stands for normalisation layers: a buffer of the state, saved memory, scratch memory, a parameter.
private struct Centering: Layer {
  func outputShape(for inputShape: [Int]) -> [Int] { inputShape }

  func stateTensors(inputShape: [Int]) -> [TensorDescription] {
    let count = inputShape.reduce(1, *)
    return [
      TensorDescription("gain", shape: [count], initialization: .constant(2)),
      TensorDescription("running_mean", shape: [count], role: .buffer, initialization: .constant(0)),
    ]
  }

  func memory(inputShape: [Int], batchSize: Int) -> LayerMemory {
    let count = inputShape.reduce(1, *)
    return LayerMemory(saved: count, scratch: count)
  }

  func forward(_ pass: ForwardPass) {
    let columns = pass.input.columns
    for c in 0..<columns {
      pass.scratch[c] = 0
      for r in 0..<pass.input.rows { pass.scratch[c] += pass.input[row: r][c] / Float(pass.input.rows) }
      pass.saved[c] = pass.context.isTraining ? pass.scratch[c] : pass.tensor(1)[c]
      if pass.context.isTraining { pass.tensor(1)[c] = 0.5 * pass.tensor(1)[c] + 0.5 * pass.scratch[c] }
      for r in 0..<pass.input.rows {
        pass.output[row: r][c] = pass.tensor(0)[c] * (pass.input[row: r][c] - pass.saved[c])
      }
    }
  }

  func backward(_ pass: BackwardPass) {
    let rows = pass.input.rows
    for c in 0..<pass.input.columns {
      var sum: Float = 0
      var gain: Float = 0
      for r in 0..<rows {
        sum += pass.outputGradient[row: r][c]
        gain += pass.outputGradient[row: r][c] * (pass.input[row: r][c] - pass.saved[c])
      }
      for r in 0..<rows {
        pass.inputGradient?[row: r][c] = pass.tensor(0)[c] * (pass.outputGradient[row: r][c] - sum / Float(rows))
      }
      let target = pass.target(0)
      target.values[c] = target.keep * target.values[c] + target.scale * gain
    }
  }
}

@Suite struct LayerChainTests {
  private func network(_ layers: [any Layer], batch: Int) throws -> CompiledNetwork {
    try CompiledNetwork(
      NetworkDescription(
        name: "test", inputShape: [3], classCount: 2,
        layers: layers.enumerated().map { (name: "\($0.offset)", layer: $0.element) }), batchSize: batch)
  }

  /// Layers with buffers, saved and scratch memory, and layers in place at every place of a chain.
  @Test func gradientsMatchDirectionalDifferences() throws {
    let chains: [[any Layer]] = [
      [Centering(), Dense(2)], [ReLU(), Dense(4), Centering(), ReLU(), Dense(2)], [Dense(2), ReLU(), ReLU()],
      [Dense(5), ReLU(), Centering(), Centering(), Dense(2), Centering()],
    ]
    for layers in chains {
      let network = try network(layers, batch: 6)
      var state = try StateBuffer(count: network.layout.count)
      network.layout.initialize(&state, seed: 5)
      let random = RandomSource(seed: 6, purpose: .synthesis)
      for (index, tensor) in network.layout.tensors.enumerated() where tensor.name.hasSuffix("bias") {
        random.fillNormal(state.vector.part(tensor.region), batch: 10 + index, deviation: 0.5)
      }
      var workspace = try network.makeWorkspace()
      random.fillNormal(workspace.inputs(rows: 6).elements, batch: 0, deviation: 1)
      workspace.labels = [0, 1, 1, 0, 1, 0]
      let context = PassContext(isTraining: true)
      var gradient = try StateBuffer(count: network.layout.count)
      network.gradient(of: &state, into: &gradient, context: context, workspace: &workspace)

      // The loss in training mode: what one descent along the gradient changes, to first order, is −η |g|².
      func trainingLoss(_ step: Float) throws -> Double {
        var moved = try StateBuffer(count: network.layout.count)
        moved.copy(from: state)
        for tensor in network.layout.tensors where tensor.role == .parameter {
          for index in tensor.region.offset..<tensor.region.end { moved[index] -= step * gradient[index] }
        }
        return network.trainingLoss(of: &moved, context: context, workspace: &workspace)
      }
      var squares = 0.0
      for tensor in network.layout.tensors where tensor.role == .parameter {
        for index in tensor.region.offset..<tensor.region.end { squares += Double(gradient[index]) * Double(gradient[index]) }
      }
      #expect(squares > 0)
      let step: Float = 5e-4
      let slope = (try trainingLoss(-step) - trainingLoss(step)) / (2 * Double(step))
      #expect(abs(slope - squares) < 0.01 * squares, "\(layers): \(slope), not \(squares)")
    }
  }

  @Test func buffersChangeInTrainingOnly() throws {
    let network = try network([Centering(), Dense(2)], batch: 2)
    var state = try StateBuffer(count: network.layout.count)
    network.layout.initialize(&state, seed: 5)
    var workspace = try network.makeWorkspace()
    workspace.inputs(rows: 2).elements.fill(4)
    let mean = network.layout.tensors[1]
    _ = network.evaluate(state, rows: 2, workspace: &workspace)
    #expect(network.layout.values(of: mean, in: state) == [0, 0, 0])
    network.descend(&state, learningRate: 0.1, context: PassContext(isTraining: true), workspace: &workspace)
    #expect(network.layout.values(of: mean, in: state) == [2, 2, 2])
  }
}
